"""Reads on a hot standby of the primary (`DATABASE_READ_URL`), each of them proven to be new enough.

Not promised: that anything is ever read here. Every method may say None, "ask the primary": the standby is away, slow,
behind, promoted, another cluster's, or what was read does not show what the reader has seen.

Promised of what is returned:

* It lacks nothing that was committed a second before the read began (`lag.RECENT_S`), and it shows every transaction
  up to the mark asked for. Both are judged of the server that answered and of the snapshot that was read, not of a
  server as it once was: behind one address there may be several, and any of them may be promoted at any moment.
* It is of the primary's own history (`lineage`).
* Asking in vain takes `READ_S` at most, and only until the first who waited so long has told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

from titan.island import Island, IslandDown
from titan.store.codes import term
from titan.store.contract import MAX_POSITION, Found, Kind, Page, StoreDamaged, StoreUnavailable, Term, is_id
from titan.store.postgres import reads
from titan.store.postgres.database import Database
from titan.store.postgres.errors import Unreachable
from titan.store.postgres.lag import RECENT_S, Lag, Origin
from titan.store.postgres.limits import Limits
from titan.store.postgres.role import STANDBY_SHOWS, look_at_standby, origin
from titan.store.postgres.session import Row, Session
from titan.store.postgres.url import PostgresUrl, Target
from titan.store.schema import Program, SchemaUnfit

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

READ_S = 0.4
"""How long a read may take here; the rest of the request's 1.8 s is the primary's."""


def standby_limits(pool_size: int) -> Limits:
    """Return the limits of connections to a standby, in whose stead the primary can always be asked."""
    return Limits(
        pool_size=pool_size,
        queue_s=0.05,
        statement_s=0.9 * READ_S,  # so that the server speaks first, if it can speak
        connect_s=1.0,
        recover_s=0.2,
        probe_every_s=0.2,  # what it has replayed must be known anew several times within `RECENT_S`
        probe_s=READ_S,
    )


class Standby:
    """The role of a replica's database: a standby that follows the primary whose `lag` this is."""

    is_written = False

    def __init__(self, lag: Lag, program: Program | None = None) -> None:
        self._lag = lag
        self._program = program

    async def begin(self, session: Session) -> str:  # noqa: ARG002
        """Do nothing: a standby takes no writes."""
        return ""

    async def look(self, session: Session, target: Target) -> None:
        """See that it is our primary's standby, and how far it is."""
        try:
            row = await look_at_standby(session, target, self._program)
            self._check(row)
        except SchemaUnfit as error:  # the primary's business; here it is only not there yet
            self._lag.lost()
            raise Unreachable(error.reason) from error
        except BaseException:
            self._lag.lost()
            raise
        self._lag.replayed(row["replayed"])

    def _check(self, row: Row) -> None:
        ours, shown = self._lag.origin, origin(row)
        if ours is None:
            raise Unreachable("the primary has not said yet whose standby this would have to be")
        if shown.system != ours.system:
            raise Unreachable("the server is a standby of another cluster than the primary's")
        if shown.database != ours.database:
            raise Unreachable("the database is another one than the primary's")
        if shown.lineage != ours.lineage:
            raise Unreachable("the server does not follow the primary, or has not got to its last promotion yet")


class Replica:
    """A handle like the store's: works while somebody serves the island and keeps `standby` connected."""

    def __init__(self, island: Island, standby: Database, lag: Lag) -> None:
        self.standby = standby
        self.lag = lag
        self.damage: str | None = None
        """What was found to be wrong with its data; it is not read any more then."""
        self._island = island
        self._replayed: WeakKeyDictionary[Session, int] = WeakKeyDictionary()

    @property
    def is_near(self) -> bool:
        """Say whether a read is worth trying here."""
        return self.standby.down_because is None and self.damage is None and self.lag.is_near

    async def find(self, kind: Kind, document_id: str, *, with_blobs: bool, mark: int) -> Found | None:
        """Read a document as the contract's `find` does, such that it shows `mark`; None: ask the primary."""
        if not is_id(document_id):
            return Found(None, 0)
        if not self.is_near:
            return None
        return await self._on_island(self._find, kind, document_id, with_blobs, mark)

    async def page(
        self, kind: Kind, *, terms: Sequence[Term], after: int, limit: int, with_blobs: bool, mark: int
    ) -> Page | None:
        """Read a page as the contract's `page` does, such that it shows `mark`; None: ask the primary."""
        if not self.is_near:
            return None
        wanted = sorted({term(each) for each in terms})
        return await self._on_island(self._page, kind, wanted, min(after, MAX_POSITION), limit, with_blobs, mark)

    async def _on_island(self, function: Callable[[Session, *Ts], Awaitable[T | None]], *args: *Ts) -> T | None:
        try:
            return await self._island.run(self._bounded, function, *args)
        except IslandDown:
            return None  # the primary's drivers live there too: asking it says what is to be said

    # --- on the island ---

    async def _bounded(self, function: Callable[[Session, *Ts], Awaitable[T | None]], *args: *Ts) -> T | None:
        try:
            async with asyncio.timeout(READ_S):
                return await self.standby.use(function, *args)
        except TimeoutError:
            self._doubt()
        except StoreUnavailable:
            return None  # whoever keeps the connection says why
        except StoreDamaged as error:
            self.damage = error.reason
        return None

    def _doubt(self) -> None:
        """Have nobody else read here before it was looked at, which happens now."""
        self.lag.lost()
        self.standby.suspect()

    async def _find(
        self,
        session: Session,
        kind: Kind,
        document_id: str,
        with_blobs: bool,  # noqa: FBT001
        mark: int,
    ) -> Found | None:
        ours = self.lag.origin
        async with session.together():
            if not await self._is_recent(session):
                return None
            row = await reads.find_row(session, kind, document_id, with_blobs=with_blobs, evidence=True)
        if not self._is_of(ours, session, row):
            return None
        found = reads.found_in(row, document_id)
        # A document's own changes have growing marks: at the one that is needed or a later one, nothing of it lacks.
        is_shown = row["first_open"] > mark or (found.stored is not None and found.stored.mark >= mark)
        return found if is_shown else None

    async def _page(
        self,
        session: Session,
        kind: Kind,
        terms: Sequence[tuple[int, bytes]],
        after: int,
        limit: int,
        with_blobs: bool,  # noqa: FBT001
        mark: int,
    ) -> Page | None:
        ours = self.lag.origin
        async with session.together():
            if not await self._is_recent(session):
                return None
            rows = await reads.page_rows(session, kind, terms, after, limit, with_blobs=with_blobs, evidence=True)
        if not self._is_of(ours, session, rows[0]) or rows[0]["first_open"] <= mark:
            return None
        return reads.page_in(rows, limit)

    async def _is_recent(self, session: Session) -> bool:
        """Say whether the server behind this session has replayed what it needs to, by what it last said or says now.

        To be known *before* the snapshot is taken: what is replayed after that is not in it.
        """
        if not session.is_pooled and self.lag.is_recent(self._replayed.get(session)):
            return True
        row = await session.read_row(STANDBY_SHOWS)
        assert row is not None
        if not row["is_standby"] or origin(row) != self.lag.origin:
            self._doubt()
            return False
        self._replayed[session] = row["replayed"]
        return self.lag.is_recent(row["replayed"])

    def _is_of(self, ours: Origin | None, session: Session, row: Row) -> bool:
        """Say whether this was read on a standby, and of a history that was our primary's all the time."""
        if row["is_standby"] and ours is not None and ours == self.lag.origin and row["lineage"] == ours.lineage:
            self._replayed[session] = row["replayed"]
            return True
        self._doubt()
        return False


def make_replica(
    island: Island,
    url: PostgresUrl,
    *,
    max_lag_s: float,
    pool_size: int = 20,
    program: Program | None = None,
) -> Replica:
    """Make what reads from the standbys of a URL; the primary's role is to be given its `lag`."""
    lag = Lag(recent_s=min(RECENT_S, max_lag_s))
    return Replica(island, Database(url, standby_limits(pool_size), role=Standby(lag, program)), lag)
