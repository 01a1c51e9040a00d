"""One transaction for many requests, and what each kind of failure of the database means for them.

Decisions, by SQLite's own error codes:

* a request's own mistake (constraint, value too large) fails that request alone: its savepoint is rolled back;
* no space: the batch is rolled back and each request tried alone, so that only those without room fail;
* an fsync that failed: the end of the batch is unknown, and the connection is not trusted again (`Fatal`);
* any other input/output error: nothing was written, and the connection is not trusted again;
* damage: nothing was written; the process stays, a restart would find the same.
"""

import sqlite3
import time
from typing import Any

from titan.store.sqlite import wire
from titan.store.sqlite.transactions import OPERATIONS
from titan.store.sqlite.turn import LOOK_EVERY_S, Turn, file_of

BUSY_S = 1.2
"""How long a batch waits for another process; below a request's budget of 1.8 s, so that its end can still be told."""

LOCKED = "the database is locked by another process"

_OF_ONE_REQUEST = frozenset({sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG})
_FSYNC = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})

Reply = tuple[Any, ...]
Request = tuple[Any, ...]


class Fatal(Exception):
    """The connection must not be used again; the process has to end. `may_pass`: another one may find things better."""

    def __init__(self, reason: str, *, may_pass: bool) -> None:
        super().__init__(reason)
        self.may_pass = may_pass


class Batches:
    """The database as the writer process has it open."""

    def __init__(self, path: str, file: str) -> None:
        """Open the database; `file` is what `file_of(path)` must be, now and in every batch."""
        self._path = path
        self._file = file
        self._turn = Turn(path)
        self._check_file()
        self._db = sqlite3.connect(f"file:{_quoted(path)}?mode=rw", uri=True, isolation_level=None, timeout=0)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA cache_size = -4000")
        self._db.execute("PRAGMA journal_size_limit = 16777216")

    def run(self, requests: list[Request], now_ms: int) -> tuple[list[Reply], Fatal | None]:
        """Carry out the requests in one transaction. Every request gets one reply, whatever happens."""
        deadline = time.monotonic() + BUSY_S
        if not self._turn.take(BUSY_S):
            return _all(requests, wire.UNAVAILABLE, LOCKED), None
        try:
            self._check_file()
            return self._together(requests, now_ms, deadline)
        except Fatal as fatal:
            return _all(requests, wire.UNAVAILABLE, str(fatal)), fatal
        finally:
            self._turn.leave()

    def close(self) -> None:
        """Bring everything into the main file if no reader is in the way, then close."""
        if self._turn.take(BUSY_S):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        self._turn.close()

    def _together(self, requests: list[Request], now_ms: int, deadline: float) -> tuple[list[Reply], Fatal | None]:
        try:
            self._begin(deadline)
            replies = [self._one(request, now_ms) for request in requests]
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            code, reason, fatal = judge(error)
            if code == wire.FULL and len(requests) > 1:
                return self._apart(requests, now_ms, deadline)
            return _all(requests, code, reason), fatal
        return replies, None

    def _apart(self, requests: list[Request], now_ms: int, deadline: float) -> tuple[list[Reply], Fatal | None]:
        """Carry out each request in a transaction of its own: what is small may still have room."""
        replies: list[Reply] = []
        for place, request in enumerate(requests):
            done, fatal = self._together([request], now_ms, deadline)
            replies += done
            if fatal is not None:
                return replies + _all(requests[place + 1 :], wire.UNAVAILABLE, str(fatal)), fatal
        return replies, None

    def _begin(self, deadline: float) -> None:
        """Take SQLite's write lock; wait for programs that know nothing of turns, such as the sqlite3 shell."""
        while True:
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(LOOK_EVERY_S)
            else:
                return

    def _one(self, request: Request, now_ms: int) -> Reply:
        number, operation, *arguments = request
        self._db.execute("SAVEPOINT request")
        try:
            reply = OPERATIONS[operation](self._db, now_ms, *arguments)
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF not in _OF_ONE_REQUEST:
                raise
            reply = self._undo(error)
        except (OverflowError, TypeError, ValueError, LookupError) as error:  # a value that the database cannot hold
            reply = self._undo(error)
        self._db.execute("RELEASE request")
        return (number, *reply)

    def _undo(self, error: Exception) -> Reply:
        self._db.execute("ROLLBACK TO request")
        return (wire.FAILED, f"{type(error).__name__}: {error}")

    def _check_file(self) -> None:
        """See that what is written here is what a reader of the path sees; a deleted file takes writes in silence."""
        if file_of(self._path) != self._file:
            raise Fatal("the database file was moved or replaced while it was open", may_pass=False)

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # SQLite has rolled back by itself after some errors
            self._db.execute("ROLLBACK")


def judge(error: sqlite3.Error) -> tuple[int, str, Fatal | None]:
    """Say what an error that ended a whole batch means for its requests, and whether the process must end."""
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = extended & 0xFF
    reason = f"{error} ({getattr(error, 'sqlite_errorname', 'SQLITE_ERROR')})"
    if primary == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE:
        return wire.FULL, "there is no space left for the database", None
    if extended in _FSYNC:
        reason = f"the disk did not confirm a write: {reason}"
        return wire.UNKNOWN, reason, Fatal(reason, may_pass=True)
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return wire.UNAVAILABLE, LOCKED, None
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return wire.DAMAGED, reason, None
    return wire.UNAVAILABLE, reason, Fatal(reason, may_pass=True)


def _all(requests: list[Request], code: int, reason: str) -> list[Reply]:
    return [(request[0], code, reason) for request in requests]


def _quoted(path: str) -> str:
    """Escape what has a meaning in an SQLite URI."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
