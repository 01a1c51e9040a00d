"""Finding and opening the files that a command was given; everything about them may be hostile.

Folders are searched with all below them, in order of name. Symbolic links are followed, each folder is searched once,
so loops end. What begins with a dot is passed over, as shells do; so is what is no AAS file by its ending. An AASX or
XML file is named as refused: nobody shall think that it was taken.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

ENDING: Final = ".json"
LATER: Final = {".aasx": "AASX", ".xml": "XML"}
"""AAS formats that this version does not read yet."""

PATH: Final = click.Path(exists=True, readable=False, path_type=Path)
"""The argument of a command: it must be there; whether it can be read is reported with all the rest."""

MAX_NESTING: Final = 64
"""Folders in folders; deeper is no collection of AAS files but an accident."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or folder that nothing can be taken from, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file to open."""

    path: Path


Found = Candidate | Unreadable


class OpenFile:
    """A regular file, read by position. Reading raises `OSError` where the file system fails."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read_at(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from `position` on; fewer only at the end."""
        return os.pread(self._descriptor, size, position)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


def find(paths: Iterable[Path]) -> Iterator[Found]:
    """Yield the files that the paths stand for. One that is no folder is taken whatever its ending, but for LATER."""
    for path in paths:
        if path.is_dir():
            found = False
            for item in _search(path):
                found = True
                yield item
            if not found:
                yield Unreadable(path, f"holds no {ENDING} file")
        else:
            yield _by_ending(path)


def open_file(path: Path) -> OpenFile | str:
    """Open a file without ever waiting for it, or say why not: pipes and devices are refused."""
    try:
        # O_NONBLOCK: a pipe without a writer must not hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return "is no regular file"
    return OpenFile(descriptor)


def _by_ending(path: Path) -> Found:
    later = LATER.get(path.suffix.lower())
    return Candidate(path) if later is None else Unreadable(path, f"{later} files come in a later version")


def _search(root: Path) -> Iterator[Found]:
    seen: set[tuple[int, int]] = set()
    waiting = [(root, 0)]
    while waiting:
        folder, nesting = waiting.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except OSError as error:
            yield Unreadable(folder, f"cannot be searched: {error.strerror}")
            continue
        if nesting > MAX_NESTING:
            yield Unreadable(folder, f"lies more than {MAX_NESTING} folders deep")
            continue
        folders = []
        for path in entries:
            if path.is_dir():
                folders.append((path, nesting + 1))
            elif path.suffix.lower() == ENDING or path.suffix.lower() in LATER:
                yield _by_ending(path)
        waiting.extend(reversed(folders))
