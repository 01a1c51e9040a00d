"""Files that somebody might hand to us, by accident or on purpose, each with words that the refusal must say."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

SUBMODEL = {"modelType": "Submodel", "id": "https://example.com/sm/1"}

Maker = Callable[[Path], object]


def _environment(*submodels: str) -> bytes:
    return b'{"submodels":[%b]}' % ",".join(submodels).encode()


def _content(raw: bytes) -> Maker:
    return lambda path: path.write_bytes(raw)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # names of sockets are short
        try:
            one.bind(path.name)
        finally:
            os.chdir(here)


DEEP = '{"modelType":"Submodel","id":"x","extensions":' + "[" * 5000 + "]" * 5000 + "}"

HOSTILE: dict[str, tuple[Maker, str]] = {
    "empty": (_content(b""), "is empty"),
    "text": (_content(b"hello"), "not JSON"),
    "zip": (_content(b"PK\x03\x04" + bytes(100)), "not JSON"),
    "array": (_content(json.dumps([SUBMODEL]).encode()), "is no JSON object"),
    "truncated": (_content(_environment(json.dumps(SUBMODEL))[:-9]), "ends in the middle"),
    "byte-order-mark": (_content(b"\xef\xbb\xbf" + _environment()), "byte order mark"),
    "utf-16": (_content(_environment().decode().encode("utf-16")), "UTF-16"),
    "latin-1": (
        _content(_environment('{"modelType":"Submodel","id":"B\xf6"}').decode().encode("latin-1")),
        "not UTF-8",
    ),
    "deep": (_content(_environment(DEEP)), "deeper than 64"),
    "deep-envelope": (_content(b"[" * 1_000_000), "deeper than 64"),
    "twice": (_content(_environment('{"modelType":"Submodel","id":"a","id":"b"}')), "'id' is given twice"),
    "twice-outside": (_content(b'{"submodels":[],"submodels":[]}'), "'submodels' is given twice"),
    "not-a-number": (_content(_environment('{"modelType":"Submodel","id":"a","x":NaN}')), "not JSON"),
    "huge-number": (_content(_environment('{"modelType":"Submodel","id":"a","x":1e400}')), "number"),
    "surrogate": (_content(_environment('{"modelType":"Submodel","id":"\\ud800"}')), "not JSON"),
    "nul": (_content(_environment('{"modelType":"Submodel","id":"a\\u0000"}')), "NUL"),
    "member": (_content(_environment('{"modelType":"Submodel","id":"a","bogus":1}')), "bogus"),
    "no-id": (_content(_environment('{"modelType":"Submodel"}')), "id"),
    "wrong-type": (_content(_environment('{"modelType":"Submodel","id":5}')), "id"),
    "long-id": (_content(_environment(json.dumps(SUBMODEL | {"id": "x" * 2049}))), "2048"),
    "blob": (
        _content(
            _environment(
                json.dumps(SUBMODEL | {"submodelElements": [{"modelType": "Blob", "idShort": "B1", "value": "a"}]})
            )
        ),
        "base64",
    ),
    "escape": (_content(_environment(json.dumps(SUBMODEL | {"id": "\x1b[2J\x1b]0;owned\x07"}))), "AASd-130"),
    "pipe": (os.mkfifo, "no regular file"),
    "socket": (_socket, "cannot be opened"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "no regular file"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "cannot be opened"),
    "unreadable": (lambda path: path.symlink_to("/proc/self/mem"), "cannot be read"),
    "folder-loop": (lambda path: path.symlink_to("."), "holds no .json file"),
}
"""By name; the file itself is called `<name>.json`."""


def make(folder: Path, name: str) -> Path:
    """Make one of the files in a folder of its own; return what is to be given to a command."""
    path = folder / "hostile" / f"{name}.json"
    path.parent.mkdir()
    HOSTILE[name][0](path)
    return (
        path if path.exists() else path.parent
    )  # a command refuses a name behind which there is nothing as wrong usage
