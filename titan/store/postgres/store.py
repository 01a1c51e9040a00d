"""The store on PostgreSQL: `titan.store.contract.Store`; every operation crosses to the island once."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar, TypeVarTuple

import trio

from titan.island import Island, IslandDown
from titan.store.codes import term
from titan.store.contract import (
    MAX_POSITION,
    NEWEST,
    Changes,
    ChangesGone,
    Document,
    Fence,
    Found,
    Idempotency,
    IdempotencyRunning,
    Kind,
    Latest,
    Need,
    NotFound,
    OutcomeUnknown,
    Page,
    Precondition,
    Replayed,
    Stored,
    StoreUnavailable,
    Term,
    TermBegun,
    WriteMode,
    WriteOutcome,
    is_id,
)
from titan.store.listing import every
from titan.store.postgres import changes, cursors, reads, terms, writes
from titan.store.postgres.blobs import PostgresBlobs
from titan.store.postgres.cursors import PostgresCursors
from titan.store.postgres.database import Database
from titan.store.postgres.leases import PostgresLeases
from titan.store.postgres.session import Session
from titan.store.postgres.sync_records import PostgresSyncRecords
from titan.store.postgres.tasks import PostgresTasks

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

RESOLVE_NEEDS_S = 0.1
"""With less time left an unknown outcome is told as such instead of asked for."""


class PostgresStore:
    """Works for as long as somebody serves the island and keeps the database connected."""

    def __init__(self, island: Island, database: Database) -> None:
        self._island = island
        self._database = database
        self.blobs = PostgresBlobs(self._use)
        self.sync_records = PostgresSyncRecords(self._use)
        self.cursors = PostgresCursors(self._use)
        self.tasks = PostgresTasks(self._use)
        self.leases = PostgresLeases(self._use)

    @property
    def history(self) -> str:
        """Names what the marks belong to."""
        return self._database.history

    async def find(
        self,
        kind: Kind,
        document_id: str,
        *,
        with_blobs: bool = False,
        need: Need = NEWEST,  # noqa: ARG002
    ) -> Found:
        """Read a document on the primary, whatever is needed: nothing is newer."""
        if not is_id(document_id):
            return Found(None, 0)
        return await self._use(reads.find, kind, document_id, with_blobs)

    async def get(self, kind: Kind, document_id: str, *, with_blobs: bool = False) -> Stored | None:
        """Return the document, or None where there is none."""
        return (await self.find(kind, document_id, with_blobs=with_blobs)).stored

    async def page(
        self,
        kind: Kind,
        *,
        terms: Sequence[Term] = (),
        after: int = 0,
        limit: int = 100,
        with_blobs: bool = False,
        need: Need = NEWEST,  # noqa: ARG002
    ) -> Page:
        """Return up to `limit` documents created after position `after` that carry all `terms`."""
        wanted = sorted({term(each) for each in terms})
        return await self._use(reads.page, kind, wanted, min(after, MAX_POSITION), limit, with_blobs)

    async def write(
        self,
        document: Document,
        mode: WriteMode,
        *,
        precondition: Precondition | None = None,
        idempotency: Idempotency | None = None,
        fence: Fence | None = None,
    ) -> WriteOutcome:
        """Write a whole document.

        An unknown outcome is resolved by the idempotency record, where there is one and time: the request is made
        again, and either finds its own record or does what was not done.
        """
        if not is_id(document.id):
            raise ValueError("an id has 1 to 2,048 characters, none of them U+0000 or a lone surrogate")
        try:
            return await self._write(document, mode, precondition, idempotency, fence)
        except OutcomeUnknown as unknown:
            if idempotency is None or _time_left_s() < RESOLVE_NEEDS_S:
                raise
            return await self._again(unknown, document, mode, precondition, idempotency, fence)

    async def _again(
        self,
        unknown: OutcomeUnknown,
        document: Document,
        mode: WriteMode,
        precondition: Precondition | None,
        idempotency: Idempotency,
        fence: Fence | None,
    ) -> WriteOutcome:
        try:
            outcome = await self._write(document, mode, precondition, idempotency, fence)
        except StoreUnavailable:
            raise unknown from None
        match outcome:
            case Replayed(first, mark=mark):
                return replace(first, mark=mark)
            case IdempotencyRunning():
                raise unknown
        return outcome

    async def _write(
        self,
        document: Document,
        mode: WriteMode,
        precondition: Precondition | None,
        idempotency: Idempotency | None,
        fence: Fence | None,
    ) -> WriteOutcome:
        """Try once. `Created` and `Replaced` say that it was this try that wrote."""
        return await self._use(writes.write, document, mode, precondition, idempotency, fence)

    async def delete(
        self,
        kind: Kind,
        document_id: str,
        *,
        precondition: Precondition | None = None,
        fence: Fence | None = None,
    ) -> WriteOutcome:
        """Delete a document; `NotFound` where there is none."""
        if not is_id(document_id):
            return NotFound()
        return await self._use(writes.delete, kind, document_id, precondition, fence)

    async def changes(self, *, after: str | None = None, limit: int = 1000) -> Changes | ChangesGone:
        """Return committed changes behind a cursor; None stands for the oldest that is kept."""
        return await self._use(changes.changes, after, limit)

    async def latest(self, limit: int) -> Latest:
        """Return up to `limit` of the newest changes and the cursor behind them."""
        return await self._use(changes.latest, limit)

    async def cursor(self) -> str:
        """Return the cursor behind the newest change."""
        return (await self.latest(0)).cursor

    async def trim_changes(self, *, before_ms: int, fence: Fence) -> int:
        """Forget the oldest changes of before that wall time, many short transactions one after the other."""
        trimmed = 0
        while some := await self._use(cursors.trim, before_ms, fence):
            trimmed += some
        return trimmed

    async def begin_term(self, role: str, holder: str) -> int:
        """Begin the next term of a role and return its number."""
        return await self._use(terms.begin_term, role, holder)

    async def terms(self) -> Sequence[TermBegun]:
        """Return the newest term of every role that ever had one."""
        return await self._use(terms.terms)

    def export(self, kind: Kind, *, with_blobs: bool = True) -> AsyncIterator[Stored]:
        """Iterate over all documents of a kind, page by page, in order of creation."""
        return every(self, kind, with_blobs=with_blobs)

    @property
    def feed(self) -> "PostgresFeed":
        """The outbox for who follows it all the time."""
        return PostgresFeed(self._island, self._database)

    async def _use(self, function: Callable[[Session, *Ts], Awaitable[T]], *args: *Ts) -> T:
        return await cross(self._island, self._database, function, *args)


class PostgresFeed:
    """The outbox over a connection of its own: freshness must not queue behind the requests that depend on it."""

    def __init__(self, island: Island, database: Database) -> None:
        self._island = island
        self._database = database

    async def changes(self, *, after: str | None = None, limit: int = 1000) -> Changes | ChangesGone:
        """See `titan.store.contract.Store.changes`."""
        return await self._use(changes.changes, after, limit)

    async def latest(self, limit: int) -> Latest:
        """See `titan.store.contract.Store.latest`."""
        return await self._use(changes.latest, limit)

    async def _use(self, function: Callable[[Session, *Ts], Awaitable[T]], *args: *Ts) -> T:
        return await cross(self._island, self._database, function, *args, apart=True)


async def cross(
    island: Island,
    database: Database,
    function: Callable[[Session, *Ts], Awaitable[T]],
    *args: *Ts,
    apart: bool = False,
) -> T:
    """Run an operation over there, `apart` from the pool or not. What is known to be down is told without crossing."""
    await trio.lowlevel.checkpoint_if_cancelled()
    if (reason := database.down_because) is not None or not island.statistics.running:
        raise StoreUnavailable(f"the database is unavailable: {reason or 'its thread is not running'}")
    try:
        return await island.run(database.use_apart if apart else database.use, function, *args)
    except IslandDown as error:
        # Whether a COMMIT had been sent by then is not known here; a read loses nothing by being told the same.
        raise OutcomeUnknown(f"the thread of the database drivers ended: {error}") from error


def _time_left_s() -> float:
    return trio.current_effective_deadline() - trio.current_time()
