"""The lock that says that a server uses this database: `titan serve` holds it, `titan db restore` refuses while it is.

Other commands write beside a server and do not take it. It ends with the process, however that dies.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyServed(Exception):
    """Another server uses the database; the text names its process."""

    def __init__(self, database: Path, owner: str) -> None:
        self.reason = f"{database} is in use by another titan serve ({owner or 'process unknown'})"
        super().__init__(self.reason)


@contextmanager
def serve_lock(database: Path) -> Iterator[None]:
    """Hold the lock, a file beside the database (`titan.db`: `titan.lock`). Raises `AlreadyServed`, never waits."""
    descriptor = os.open(database.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 100, 0).decode(errors="replace").strip()
            raise AlreadyServed(database, owner) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
