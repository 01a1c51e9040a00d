"""How a document names a file that this server keeps: by a path of our own making, `blobs/<key>/<file name>`.

The path is a text in the document like any other (`Resource.path`, IDTA-01001): it comes back as it was written, goes
along when the document is copied, and a path of any other form is somebody else's. Nothing on a disk is ever called by
it. The file name at its end is for people; it is what the client called the file, made safe.
"""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from titan.store.blobs import is_key
from titan.store.contract import Kind

MAX_FILE_NAME_BYTES = 255
"""Of a file name in UTF-8: what file systems take, and in percent-encoding still fits a path (2,048 characters)."""

_SEPARATOR = re.compile(r"[/\\]")
# Control characters, separators of lines, and what changes the direction of text and so hides a name's true ending.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FilePath:
    """A path that names a file of this server."""

    key: str
    file_name: str

    def __str__(self) -> str:
        return f"blobs/{self.key}/{quote(self.file_name, safe='')}"


def read_path(path: str) -> FilePath | None:
    """Return what a path names, None where it is none of ours. The file name is safe, whoever wrote the path."""
    match path.split("/"):
        case ["blobs", key, name] if is_key(key):
            return FilePath(key, safe_file_name(unquote(name)) or "file")
    return None


def safe_file_name(text: str) -> str | None:
    """Return a client's name for a file without folders, dots at its ends and what hides; None where nothing is left.

    None also for more than 255 bytes: a name is not cut, since its ending says what it is.
    """
    name = _UNSAFE.sub("_", _SEPARATOR.split(text)[-1]).strip(" .")
    return name if 0 < len(name.encode()) <= MAX_FILE_NAME_BYTES else None


def blobs_of(kind: Kind, value: dict[str, Any]) -> frozenset[str]:
    """Return the keys of the files that a document names, once its structure is known to be sound."""
    if kind is not Kind.SHELL:
        return frozenset()
    thumbnail = value["assetInformation"].get("defaultThumbnail")
    path = None if thumbnail is None else read_path(thumbnail["path"])
    return frozenset() if path is None else frozenset({path.key})
