"""How a file is answered: what a browser may show, what it is called, and its content piece by piece.

A file is a stranger's. Shown in the browser, on this server's origin, is what cannot carry a script: PNG, JPEG, GIF and
WebP, if the first bytes say the same as the declared type. Everything else (SVG and HTML among it) is
`application/octet-stream` and an attachment, whatever it was declared as, so that no page can load it as a script or
a style either; its declared type stands in the document. `nosniff` is on every answer.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import quote

import trio

from titan.api.messages import AnswerCut, Response
from titan.api.services import Services
from titan.store.blobs import Blob
from titan.store.contract import StoreUnavailable

STEP_S = 10.0
"""How long one step with a file may take, on either side of it: a disk that is busy is no document that is locked."""

BINARY = "application/octet-stream"

_BEGINNINGS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
)
IMAGE_TYPES = tuple(media_type for _, media_type in _BEGINNINGS)
_ALSO_CALLED = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"}

_POLICY = ("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
_NO_RANGES = ("Accept-Ranges", "none")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 !#$&'()+,.;=@\[\]^_`{}~-]*")


def image_type(head: bytes) -> str | None:
    """Return the type of an image that is safe to show, by its first bytes; None for anything else."""
    return next((media_type for beginning, media_type in _BEGINNINGS if beginning.match(head)), None)


@dataclass(frozen=True, slots=True)
class File:
    """A file to be answered."""

    key: str
    name: str
    content_type: str | None
    """As declared in the document."""
    blob: Blob


def file_answer(services: Services, file: File, headers: tuple[tuple[str, str], ...]) -> Response:
    """Answer a file; nothing is opened before its first piece is asked for."""
    media_type = _shown_as(file.content_type, file.blob.head)
    disposition = "attachment" if media_type is None else "inline"
    return Response(
        200,
        _pieces(services, file.key),
        (
            *headers,
            ("Content-Length", str(file.blob.size)),
            ("Content-Disposition", f"{disposition}; {_called(file.name)}"),
            _NO_RANGES,
            _POLICY,
        ),
        media_type or BINARY,
    )


async def _pieces(services: Services, key: str) -> AsyncGenerator[bytes, None]:
    async with aclosing(services.store.blobs.read(key)) as pieces:
        while True:
            try:
                with trio.fail_after(STEP_S):
                    piece = await anext(pieces, b"")
            except trio.TooSlowError:
                raise AnswerCut("the file could not be read in time") from None
            except StoreUnavailable as away:
                raise AnswerCut(f"the file cannot be read now: {away.reason}") from away
            if not piece:
                return
            yield piece


def _shown_as(declared: str | None, head: bytes) -> str | None:
    media_type = (declared or "").partition(";")[0].strip().lower()
    found = image_type(head)
    return found if found == _ALSO_CALLED.get(media_type, media_type) else None


def _called(name: str) -> str:
    """Return the parameters that name a file (RFC 6266, 4.3): plain where that will do, else in both forms."""
    if _PLAIN_NAME.fullmatch(name):
        return f'filename="{name}"'
    plain = "".join(character if _PLAIN_NAME.fullmatch(character) else "_" for character in name)
    return f"filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
