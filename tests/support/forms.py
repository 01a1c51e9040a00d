"""Forms as clients send them."""

from typing import Any

BOUNDARY = "----a-boundary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(100)
GIF = b"GIF89a" + bytes(100)
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(100)


def part(name: str, content: bytes, *, filename: str | None = None, content_type: str | None = None) -> bytes:
    """Make one part, with everything but the boundary before it."""
    called = "" if filename is None else f'; filename="{filename}"'
    typed = "" if content_type is None else f"\r\nContent-Type: {content_type}"
    return f'Content-Disposition: form-data; name="{name}"{called}{typed}\r\n\r\n'.encode() + content


def form(*parts: bytes) -> bytes:
    """Put parts together."""
    return b"".join(f"--{BOUNDARY}\r\n".encode() + each + b"\r\n" for each in parts) + f"--{BOUNDARY}--\r\n".encode()


def file_form(
    content: bytes = PNG, name: str = "pump.png", content_type: str | None = "image/png", **file: Any
) -> bytes:
    """Make the form of the standard: a file name and a file."""
    return form(
        part("fileName", name.encode()),
        part("file", content, filename="blob", content_type=content_type, **file),
    )
