"""One connection: its settings, its transactions, and a COMMIT that is never abandoned by cancellation.

Not promised: that a cancelled COMMIT returns soon. Once it is sent it is waited for, until the caller's deadline; then
the connection is dropped without a word to the server, and `OutcomeUnknown` says so. Cancelling it the driver's way
would send a cancel request, upon which a server that waits for its synchronous standby reports success without it
(measured). For the same reason a COMMIT that comes with a warning is not acknowledged.
"""

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import asyncpg

from titan.island import remaining_s
from titan.store.contract import OutcomeUnknown, StoreUnavailable
from titan.store.postgres.errors import DRIVER_ERRORS
from titan.store.postgres.limits import Limits

Row = Mapping[str, Any]


class Session:
    """A connection to the primary, or to a standby, used by one operation at a time.

    With `is_pooled` there is a transaction pooler in between: every statement stands in an explicit transaction that
    brings its own settings, and no prepared statement outlives one.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        limits: Limits,
        *,
        is_pooled: bool,
        expires_at: float,
        is_standby: bool = False,
    ) -> None:
        self.is_pooled = is_pooled
        self.expires_at = expires_at
        self._connection = connection
        self._warnings: list[str] = []
        settings = limits.as_statements() if is_pooled else ""
        self._begin = f"BEGIN ISOLATION LEVEL READ COMMITTED;{settings}"
        # What reads only begins thus behind a pooler: a standby, which may be there of a sudden, refuses READ WRITE.
        mode = "READ ONLY" if is_standby else "READ WRITE"
        self._begin_read = f"BEGIN ISOLATION LEVEL READ COMMITTED {mode};{settings}"
        self._is_together = False
        connection.add_log_listener(self._note)
        _watch_peer(connection)

    def _note(self, _connection: object, message: asyncpg.PostgresLogMessage) -> None:
        if message.severity_en == "WARNING":
            self._warnings.append(message.message)

    # --- life ---

    @property
    def is_closed(self) -> bool:
        """True once the connection is gone, whoever closed it."""
        return bool(self._connection.is_closed())

    @property
    def server_version(self) -> int:
        """The server's major version."""
        return int(self._connection.get_server_version().major)

    @property
    def described(self) -> str:
        """What is at the other end, for people."""
        return f"PostgreSQL {self.server_version}{', through a pooler' if self.is_pooled else ''}"

    @property
    def server_encoding(self) -> str:
        """The encoding of the database."""
        return str(self._connection.get_settings().server_encoding)

    def drop(self) -> None:
        """Close it at once, without waiting for or telling the server; what waits on it fails."""
        self._connection.terminate()

    async def close(self, within_s: float) -> None:
        """Say goodbye to the server, or drop the connection where that takes too long."""
        with contextlib.suppress(*DRIVER_ERRORS):
            await self._connection.close(timeout=within_s)

    # --- statements ---

    async def row(self, sql: str, *args: object) -> Row | None:
        """Run one statement in the transaction that is open; return its first row."""
        row: Row | None = await self._connection.fetchrow(sql, *args)
        return row

    async def rows(self, sql: str, *args: object) -> Sequence[Row]:
        """Run one statement in the transaction that is open; return its rows."""
        rows: Sequence[Row] = await self._connection.fetch(sql, *args)
        return rows

    async def read_row(self, sql: str, *args: object) -> Row | None:
        """Run one reading statement in a transaction of its own."""
        rows = await self.read_rows(sql, *args)
        return rows[0] if rows else None

    async def read_rows(self, sql: str, *args: object) -> Sequence[Row]:
        """Run one reading statement in a transaction of its own; return its rows.

        A statement alone is a transaction, in one round trip; behind a pooler it needs the explicit one.
        """
        if not self.is_pooled or self._is_together:
            return await self.rows(sql, *args)
        await self._connection.execute(self._begin_read)
        rows = await self.rows(sql, *args)
        await self._connection.execute("COMMIT")
        return rows

    @contextlib.asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Have one server answer all reads of the block, each at a snapshot of its own, also behind a pooler."""
        if not self.is_pooled:
            yield
            return
        await self._connection.execute(self._begin_read)
        self._is_together = True
        try:
            yield
        finally:
            self._is_together = False
        await self._connection.execute("COMMIT")

    # --- transactions that write ---

    async def begin(self, then: str = "") -> None:
        """Begin a transaction and run `then` in it, all in one round trip."""
        await self._connection.execute(self._begin + then)

    async def rollback(self) -> None:
        """End the transaction, if there is one, as if it had never been."""
        await self._connection.execute("ROLLBACK")

    async def commit(self) -> None:
        """Make it last. Raises `OutcomeUnknown` where it may be or not, what the server says where it is not."""
        if remaining_s() <= 0:
            raise StoreUnavailable("the request's time was over before its COMMIT")
        self._warnings.clear()
        task = asyncio.ensure_future(self._connection.execute("COMMIT"))
        if not await _done_through_cancellation(task, remaining_s):
            self.drop()
            await _done_through_cancellation(task, lambda: math.inf)
        try:
            tag = task.result()
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise OutcomeUnknown(f"the answer to COMMIT never came: {error}") from error
        if self._warnings:
            raise OutcomeUnknown(f"COMMIT came with a warning: {self._warnings[0]}")
        if tag != "COMMIT":
            raise StoreUnavailable(f"the server answered COMMIT by {tag}")


async def _done_through_cancellation(task: "asyncio.Task[Any]", left: Callable[[], float]) -> bool:
    """Wait for a task for as long as there is time left, whether the caller is cancelled or not; True if it ended."""
    while not task.done() and (left_s := left()) > 0:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=None if left_s == math.inf else left_s)
    return task.done()


def _watch_peer(connection: asyncpg.Connection) -> None:
    """Have the kernel find out that the peer is gone without a word, as behind a firewall that drops packets."""
    peer = connection._transport.get_extra_info("socket")  # noqa: SLF001  (the driver has no public way to its socket)
    if peer is None or peer.family == socket.AF_UNIX:
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 10_000)):
        if (option := getattr(socket, name, None)) is not None:  # none of them is everywhere
            peer.setsockopt(socket.IPPROTO_TCP, option, value)
