"""The store as an instance beside others uses it: caches before the primary, and what they promise (`titan.cache`)."""

from collections import Counter
from collections.abc import Callable, Sequence

import trio

from titan.cache.doorkeeper import Doorkeeper
from titan.cache.key import key_of
from titan.cache.memory import Memory
from titan.cache.shared import Entry, Place, Shared
from titan.cache.tail import Position, Tail
from titan.island import Island
from titan.redis.contract import RedisAway
from titan.store.codes import spliced
from titan.store.contract import (
    NEWEST,
    Created,
    Deleted,
    Document,
    Fence,
    Found,
    Idempotency,
    Kind,
    Need,
    Page,
    Precondition,
    Replaced,
    Stored,
    Term,
    WriteMode,
    WriteOutcome,
    is_id,
)
from titan.store.postgres.database import Database
from titan.store.postgres.replica import Replica
from titan.store.postgres.store import PostgresStore


class CoherentStore(PostgresStore):
    """The store on PostgreSQL with this instance's caches before it, and beside it a replica, where there is one."""

    def __init__(
        self,
        island: Island,
        database: Database,
        tail: Tail,
        memory: Memory,
        shared: Shared | None = None,
        replica: Replica | None = None,
    ) -> None:
        super().__init__(island, database)
        self._tail = tail
        self._memory = memory
        self._shared = shared
        self._replica = replica
        self._doorkeeper = Doorkeeper()
        self.on_wrote: Callable[[], object] = lambda: None
        """Called once a write is committed."""
        self.requests: Counter[tuple[str, str]] = Counter()
        """How often a tier was asked and what came of it, for the metrics."""

    async def find(self, kind: Kind, document_id: str, *, with_blobs: bool = False, need: Need = NEWEST) -> Found:
        """Read a document, from a cache or a replica where what is there is as new as is needed."""
        if not is_id(document_id):
            return Found(None, 0)
        key = key_of(kind, document_id)
        place = Place(self._tail.history, key, with_blobs)
        if not need.is_newest:
            stored = await self._cached(place, document_id, need)
            if stored is not None:
                return Found(stored, stored.mark)
            found = await self._replied(place, kind, document_id, need)
            if found is not None:
                return found
        since = self._tail.position
        found = await super().find(kind, document_id, with_blobs=with_blobs)
        if found.stored is not None and self._tail.vouches(key, found.stored.revision, since):
            self._memory.put(key, found.stored, with_blobs=with_blobs)
            if self._shared is not None:
                self._shared.offer(place, Entry(found.stored, since.shows))
        return found

    async def _cached(self, place: Place, document_id: str, need: Need) -> Stored | None:
        """Return the document where a cache has it and may be believed."""
        if not self._may_be_used:
            self.requests["memory", "bypass"] += 1
            return None
        stored = self._memory.get(place.key, document_id, with_blobs=place.with_blobs)
        if stored is not None and self._shows(stored, need):
            self.requests["memory", "hit"] += 1
            await trio.lowlevel.checkpoint_if_cancelled()
            return stored
        self.requests["memory", "miss" if stored is None else "behind"] += 1
        return None if self._shared is None else await self._fetched(self._shared, place, document_id, need)

    async def _fetched(self, shared: Shared, place: Place, document_id: str, need: Need) -> Stored | None:
        since = self._tail.position
        try:
            entry = await shared.get(place, document_id)
        except RedisAway:
            self.requests["redis", "bypass"] += 1
            return None
        if entry is None:
            self.requests["redis", "miss"] += 1
            return None
        stored = entry.stored
        # Judged by what is known now, which may be more than when it was asked for.
        if not self._may_be_used or not self._tail.vouches(
            place.key, stored.revision, Position(since.life, entry.shown)
        ):
            self.requests["redis", "stale"] += 1
            return None
        if not self._shows(stored, need):
            self.requests["redis", "behind"] += 1
            return None
        self.requests["redis", "hit"] += 1
        self._memory.put(place.key, stored, with_blobs=place.with_blobs)
        return stored

    @property
    def _may_be_used(self) -> bool:
        """Say whether what is cached may be believed at all."""
        return self._tail.is_fresh and self._tail.history == self.history

    def _shows(self, stored: Stored, need: Need) -> bool:
        # A document's own changes have growing marks: at the one that is needed or later, it has all up to that.
        return stored.mark >= need.mark or self._tail.shows >= need.mark

    async def _replied(self, place: Place, kind: Kind, document_id: str, need: Need) -> Found | None:
        """Ask a replica for a document that nobody has asked for of late.

        Its answers fill no cache, as they may lack what was named before; so what is asked for again is the primary's.
        """
        is_cacheable = self._memory.max_bytes > 0 or self._shared is not None
        if self._replica is None or (is_cacheable and self._doorkeeper.has_seen(place.key)):
            return None
        found = await self._replica.find(kind, document_id, with_blobs=place.with_blobs, mark=need.mark)
        self.requests["replica", "bypass" if found is None else "hit"] += 1
        return found

    async def page(
        self,
        kind: Kind,
        *,
        terms: Sequence[Term] = (),
        after: int = 0,
        limit: int = 100,
        with_blobs: bool = False,
        need: Need = NEWEST,
    ) -> Page:
        """Return a page, from a replica where that is as new as is needed; lists are not cached."""
        if self._replica is not None and not need.is_newest:
            page = await self._replica.page(
                kind, terms=terms, after=after, limit=limit, with_blobs=with_blobs, mark=need.mark
            )
            self.requests["replica", "bypass" if page is None else "hit"] += 1
            if page is not None:
                return page
        return await super().page(kind, terms=terms, after=after, limit=limit, with_blobs=with_blobs)

    async def _write(
        self,
        document: Document,
        mode: WriteMode,
        precondition: Precondition | None,
        idempotency: Idempotency | None,
        fence: Fence | None,
    ) -> WriteOutcome:
        """Write a document; the caches know it before the caller does. Of a replay they are told nothing: it is old."""
        since = self._tail.position
        outcome = await super()._write(document, mode, precondition, idempotency, fence)
        match outcome:
            case Created(revision, modified_ms, mark=mark) | Replaced(revision, modified_ms, mark=mark):
                stored = Stored(document.id, revision, modified_ms, _body(document), mark)
                await self._wrote(key_of(document.kind, document.id), stored, since)
        return outcome

    async def _wrote(self, key: bytes, stored: Stored, since: Position) -> None:
        self.on_wrote()
        self._tail.note(key, stored.revision, stored.mark)
        if self._tail.vouches(key, stored.revision, since):
            self._memory.put(key, stored, with_blobs=False)
            if self._shared is not None:
                await self._shared.wrote(Place(self._tail.history, key, with_blobs=False), Entry(stored, since.shows))

    async def delete(
        self, kind: Kind, document_id: str, *, precondition: Precondition | None = None, fence: Fence | None = None
    ) -> WriteOutcome:
        """Delete a document; the caches know it before the caller does."""
        outcome = await super().delete(kind, document_id, precondition=precondition, fence=fence)
        if isinstance(outcome, Deleted):
            self.on_wrote()
            key = key_of(kind, document_id)
            self._tail.note(key, outcome.revision, outcome.mark)
            if self._shared is not None:
                place = Place(self._tail.history, key, with_blobs=False)
                await self._shared.deleted(place, document_id, outcome.revision, outcome.mark)
        return outcome


def _body(document: Document) -> bytes:
    """Return what a read without Blob values gives."""
    if document.elements is None:
        return document.header
    plain = (element.content_without_blobs or element.content for element in document.elements)
    return spliced(document.header, b",".join(plain))
