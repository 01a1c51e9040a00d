"""The lock that says that a server uses this database: `titan serve` holds it, `titan db restore` refuses while it is.

Other commands write beside a server and do not take it. It ends with the process, however that dies.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from titan.version import __version__


class AlreadyServed(Exception):
    """Another server uses the database; the text names its process."""

    def __init__(self, database: Path, owner: str) -> None:
        self.reason = f"{database} is in use by another titan serve ({owner or 'process unknown'})"
        super().__init__(self.reason)


@contextmanager
def serve_lock(database: Path) -> Iterator[None]:
    """Hold the lock, a file beside the database (`titan.db`: `titan.lock`). Raises `AlreadyServed`, never waits."""
    descriptor = _open(database)
    try:
        if not _take(descriptor):
            raise AlreadyServed(database, _owner(descriptor))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}, titan {__version__}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def server_version(database: Path) -> str | None:
    """Return the version of the server that uses the database now, '' where it cannot be told; None for no server."""
    if not _file(database).exists():
        return None
    descriptor = _open(database)
    try:
        return None if _take(descriptor) else _owner(descriptor).partition(", titan ")[2]
    finally:
        os.close(descriptor)


def _file(database: Path) -> Path:
    return database.resolve().with_suffix(".lock")


def _open(database: Path) -> int:
    return os.open(_file(database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode(errors="replace").strip()
