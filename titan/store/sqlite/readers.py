"""Read-only connections: one for short reads on the loop's own thread, a few for long ones on worker threads.

Short reads stay on the loop's thread because the way to another one costs more than the read (deploy/adr/0009).
They can never wait: the connection cannot write (so it never checkpoints and never calls fsync) and waits for no lock;
a read that meets one goes to a worker thread, which may wait.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio

from titan.store.contract import StoreClosed, StoreDamaged, StoreUnavailable
from titan.store.sqlite.trouble import Trouble, TroubleKind

LONG_READS = 3
"""How many long reads run at a time; the others wait within their callers' scopes."""
BUSY_S = 1.2
"""How long a long read waits for a lock, below a request's budget."""
CLOSE_S = 2.0
LOOK_EVERY_STEPS = 50_000
"""About a millisecond of SQLite's work; each look takes the interpreter lock."""

T = TypeVar("T")
Read = Callable[[sqlite3.Connection], T]


class WouldWait(Exception):
    """The read meets a lock and must not wait on this thread."""


class Readers:
    """The connections of one store, all opened at the start: a descriptor that is missing later stops no read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limiter = trio.CapacityLimiter(LONG_READS)
        self._inline: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        self.trouble: Trouble | None = None
        """Set for good by the first read that meets damage."""

    async def open(self) -> None:
        """Open all connections. Raises `StoreUnavailable` or `StoreDamaged`."""
        self._inline = self._connect(timeout_s=0.0)
        self._idle = [self._connect(timeout_s=BUSY_S) for _ in range(LONG_READS)]

    def here(self, read: "Read[T]") -> T:
        """Run a short read on this thread. Raises `WouldWait` where a lock is in the way."""
        if self._inline is None:
            raise StoreClosed("the store is closed")
        try:
            return read(self._inline)
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise WouldWait from error
            raise self._noted(meaning(error)) from error

    async def there(self, read: "Read[T]") -> T:
        """Run a read on a worker thread. Cancelled, it is left at once and its statement interrupted."""
        job = _Job(self._idle)
        try:
            return await trio.to_thread.run_sync(job.run, read, limiter=self._limiter, abandon_on_cancel=True)
        except sqlite3.Error as error:
            raise self._noted(meaning(error)) from error
        finally:
            job.leave()

    async def close(self) -> None:
        """Close all connections once the reads under way have ended."""
        with trio.move_on_after(CLOSE_S, shield=True):
            for _ in range(LONG_READS):
                await self._limiter.acquire_on_behalf_of(object())
        if self._inline is not None:
            self._inline.close()
            self._inline = None
        while self._idle:
            self._idle.pop().close()

    def _noted(self, error: Exception) -> Exception:
        if isinstance(error, StoreDamaged):
            self.trouble = Trouble(TroubleKind.UNREADABLE, error.reason)
        return error

    def _connect(self, timeout_s: float) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(
                f"{self._path.as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=timeout_s,
                check_same_thread=False,
            )
            db.execute("SELECT revision FROM titan_schema").fetchone()  # opens the write-ahead log, too
        except sqlite3.Error as error:
            raise meaning(error) from error
        return db


class _Job:
    """One read on a worker thread. It owns its connection until it ends, also when its caller has left."""

    def __init__(self, idle: list[sqlite3.Connection]) -> None:
        self._idle = idle
        self._guard = threading.Lock()
        self._running: sqlite3.Connection | None = None
        self._is_left = False

    def run(self, read: "Read[T]") -> T:
        """Read with an idle connection; there is one for each token of the limiter."""
        if not self._idle:
            raise StoreClosed("the store is closed")
        db = self._idle.pop()
        db.set_progress_handler(self._look, LOOK_EVERY_STEPS)
        try:
            with self._guard:
                self._running = db
            return read(db)
        finally:
            with self._guard:
                self._running = None
            db.set_progress_handler(None, 0)
            self._idle.append(db)

    def leave(self) -> None:
        """Say that nobody waits any more: ends the statement that runs now, or soon the next one."""
        with self._guard:
            self._is_left = True
            if self._running is not None:
                self._running.interrupt()

    def _look(self) -> bool:
        """Tell SQLite whether to stop; `interrupt` alone would miss a statement that is about to begin."""
        return self._is_left


def meaning(error: sqlite3.Error) -> Exception:
    """Say what an error of a read means for the caller."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    reason = f"{error} ({getattr(error, 'sqlite_errorname', 'SQLITE_ERROR')})"
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_SHMSIZE:
        return StoreUnavailable("there is no space left for what SQLite keeps beside the database to read it")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreDamaged(f"the database is damaged: {reason}")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreUnavailable("the database is locked by another process")
    if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_INTERRUPT}:
        return StoreUnavailable(f"the database cannot be read: {reason}")
    return error
