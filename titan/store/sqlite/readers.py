"""Read-only connections: one for short reads on the loop's own thread, a few for long ones on worker threads.

Short reads stay on the loop's thread because the way to another one costs more than the read. They can never wait:
the connection cannot write (so it never checkpoints and never calls fsync) and waits for no lock; one that meets a
lock goes to a worker thread, which may wait for it.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio

from titan.store.contract import StoreDamaged, StoreUnavailable

LONG_READS = 4
"""How many long reads run at a time; the others wait within their callers' scopes."""
BUSY_S = 1.2
T = TypeVar("T")

Read = Callable[[sqlite3.Connection], T]


class Readers:
    """The connections of one store."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limiter = trio.CapacityLimiter(LONG_READS)
        self._inline: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        self._busy: set[sqlite3.Connection] = set()
        self._is_closed = False

    def here(self, read: "Read[T]") -> T:
        """Run a short read on this thread. Raises `BlockingIOError` where it would have to wait."""
        if self._inline is None:
            self._inline = self._connect(timeout_s=0.0)
        try:
            return read(self._inline)
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise BlockingIOError from error
            raise _meaning(error) from error

    async def there(self, read: "Read[T]") -> T:
        """Run a read on a worker thread. Cancelled, it is interrupted and forgotten at once."""
        async with self._limiter:
            if self._is_closed:
                raise StoreUnavailable("the store is closed")
            db = self._idle.pop() if self._idle else self._connect(timeout_s=BUSY_S)
            self._busy.add(db)
            try:
                return await trio.to_thread.run_sync(read, db)
            except sqlite3.Error as error:
                raise _meaning(error) from error
            finally:
                self._busy.discard(db)
                self._idle.append(db)

    def close(self) -> None:
        """Close all connections; nobody may be reading any more."""
        self._is_closed = True
        if self._inline is not None:
            self._inline.close()
            self._inline = None
        while self._idle:
            self._idle.pop().close()

    def _connect(self, timeout_s: float) -> sqlite3.Connection:
        try:
            return sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=timeout_s,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise _meaning(error) from error


def _meaning(error: sqlite3.Error) -> Exception:
    """Say what an error of a read means for the caller."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    reason = f"{error} ({getattr(error, 'sqlite_errorname', 'SQLITE_ERROR')})"
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreDamaged(f"the database is damaged: {reason}")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreUnavailable("the database is locked by another process")
    if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_INTERRUPT}:
        return StoreUnavailable(f"the database cannot be read: {reason}")
    return error
