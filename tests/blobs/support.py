"""Thumbnails as clients of a real server send and read them."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.support.client import url
from tests.support.documents import shell
from tests.support.forms import BOUNDARY, CONTENT_TYPE, part
from tests.support.server import Server

MIB = 1 << 20
OPENING = f"--{BOUNDARY}\r\n".encode() + part("file", b"", filename="big.bin", content_type="application/x-test")
CLOSING = f"\r\n--{BOUNDARY}--\r\n".encode()


def thumbnail(identifier: str = "s") -> str:
    return f"{url('/shells', identifier)}/asset-information/thumbnail"


def post_shell(server: Server, identifier: str = "s") -> None:
    assert httpx.post(f"{server.url}/shells", json=shell(identifier)).status_code == 201


def put(server: Server, content: Iterator[bytes] | bytes, identifier: str = "s") -> httpx.Response:
    """Upload as a browser does, the content in pieces."""

    def body() -> Iterator[bytes]:
        yield OPENING
        yield from [content] if isinstance(content, bytes) else content
        yield CLOSING

    target = server.url + thumbnail(identifier)
    return httpx.put(target, content=body(), headers={"Content-Type": CONTENT_TYPE}, timeout=60)


def get(server: Server, identifier: str = "s") -> httpx.Response:
    newest = {"Cache-Control": "no-cache"}  # also at another instance than the one that wrote
    return httpx.get(server.url + thumbnail(identifier), headers=newest, timeout=60)


def noise(mib: int) -> Iterator[bytes]:
    """Some MiB that no compression makes smaller, without keeping them."""
    piece = os.urandom(MIB)
    for number in range(mib):
        yield number.to_bytes(4) + piece[4:]


def begin_upload(server: Server, size: int, sent: int, identifier: str = "s") -> socket.socket:
    """Send a part of an upload and leave it at that; the caller closes the connection."""
    length = len(OPENING) + size + len(CLOSING)
    head = (
        f"PUT {thumbnail(identifier)} HTTP/1.1\r\nHost: x\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {length}"
    )
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.sendall(head.encode() + b"\r\n\r\n" + OPENING + os.urandom(sent))
    return connection


def files(data_dir: Path) -> list[Path]:
    """Every file of a blob, finished or not."""
    return [path for path in (data_dir / "titan.db-blobs").rglob("*") if path.is_file()]


def processes(server: Server) -> list[int]:
    """The server's process and all below it."""
    found, waiting = [], [server.pid]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").iterdir():
            waiting += [int(child) for child in (task / "children").read_text().split()]
    return found


def reset_peak(server: Server) -> None:
    """Have the kernel measure the peak of memory anew."""
    for pid in processes(server):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(server: Server) -> int:
    """Return the sum of the processes' peaks since then."""
    return sum(_status(pid, "VmHWM") for pid in processes(server))


def _status(pid: int, name: str) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
