"""The lock that says that a server uses this database: `titan serve` holds it, `titan db restore` refuses while it is.

Other commands write beside a server and do not take it. It ends with the process, however that dies.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from titan.store.sqlite.prepare import DataFolderUnusable, not_usable
from titan.version import __version__


class AlreadyServed(Exception):
    """Another server uses the database; the text names its process."""

    def __init__(self, database: Path, owner: str) -> None:
        self.reason = (
            f"{database} is in use by another titan serve ({owner or 'process unknown'});"
            " stop that one, or name another folder in TITAN_DATA_DIR"
        )
        super().__init__(self.reason)


@contextmanager
def serve_lock(database: Path) -> Iterator[None]:
    """Hold the lock, a file beside the database (`titan.db`: `titan.lock`). Never waits.

    Raises `AlreadyServed`, or `DataFolderUnusable` where the file cannot be had.
    """
    descriptor = _open(database)
    try:
        if not _take(descriptor):
            raise AlreadyServed(database, _owner(descriptor))
        _sign(descriptor)
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
    file = _file(database)
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise DataFolderUnusable(not_usable(file)) from error
    except OSError as error:
        raise DataFolderUnusable(f"{file} cannot be made: {error.strerror}") from error


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int) -> None:
    """Say who holds the lock. On a full disk it holds without: a server that can only read is better than none."""
    os.ftruncate(descriptor, 0)
    try:
        os.pwrite(descriptor, f"process {os.getpid()}, titan {__version__}\n".encode(), 0)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise


def _owner(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode(errors="replace").strip()
