"""The store as an instance beside others uses it: caches before the primary, and what they promise (`titan.cache`)."""

from collections import Counter

import trio

from titan.cache.key import key_of
from titan.cache.memory import Memory
from titan.cache.tail import Position, Tail
from titan.island import Island
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
    Precondition,
    Replaced,
    Stored,
    WriteMode,
    WriteOutcome,
    is_id,
)
from titan.store.postgres.database import Database
from titan.store.postgres.store import PostgresStore


class CoherentStore(PostgresStore):
    """The store on PostgreSQL with this instance's caches before it; what it does not cache it leaves as it is."""

    def __init__(self, island: Island, database: Database, tail: Tail, memory: Memory) -> None:
        super().__init__(island, database)
        self._tail = tail
        self._memory = memory
        self.requests: Counter[tuple[str, str]] = Counter()
        """How often a tier was asked and what came of it, for the metrics."""

    async def find(self, kind: Kind, document_id: str, *, with_blobs: bool = False, need: Need = NEWEST) -> Found:
        """Read a document, from memory where what is there is as new as is needed."""
        if not is_id(document_id):
            return Found(None, 0)
        key = key_of(kind, document_id)
        if not need.is_newest:
            stored = self._remembered(key, document_id, need, with_blobs=with_blobs)
            if stored is not None:
                await trio.lowlevel.checkpoint_if_cancelled()
                return Found(stored, stored.mark)
        since = self._tail.position
        found = await super().find(kind, document_id, with_blobs=with_blobs)
        if found.stored is not None and self._tail.vouches(key, found.stored.revision, since):
            self._memory.put(key, found.stored, with_blobs=with_blobs)
        return found

    def _remembered(self, key: bytes, document_id: str, need: Need, *, with_blobs: bool) -> Stored | None:
        if not self._tail.is_fresh or self._tail.history != self.history:
            self.requests["memory", "bypass"] += 1
            return None
        stored = self._memory.get(key, document_id, with_blobs=with_blobs)
        if stored is None:
            self.requests["memory", "miss"] += 1
            return None
        # A document's own changes have growing marks: at the one that is needed or later, it has all up to that.
        if stored.mark < need.mark and self._tail.shows < need.mark:
            self.requests["memory", "behind"] += 1
            return None
        self.requests["memory", "hit"] += 1
        return stored

    async def write(
        self,
        document: Document,
        mode: WriteMode,
        *,
        precondition: Precondition | None = None,
        idempotency: Idempotency | None = None,
        fence: Fence | None = None,
    ) -> WriteOutcome:
        """Write a document; the caches know it before the caller does."""
        since = self._tail.position
        outcome = await super().write(document, mode, precondition=precondition, idempotency=idempotency, fence=fence)
        match outcome:
            case Created(revision, modified_ms, mark=mark) | Replaced(revision, modified_ms, mark=mark):
                stored = Stored(document.id, revision, modified_ms, _body(document), mark)
                self._wrote(key_of(document.kind, document.id), stored, since)
        return outcome

    def _wrote(self, key: bytes, stored: Stored, since: Position) -> None:
        self._tail.note(key, stored.revision, stored.mark)
        if self._tail.vouches(key, stored.revision, since):
            self._memory.put(key, stored, with_blobs=False)

    async def delete(
        self, kind: Kind, document_id: str, *, precondition: Precondition | None = None, fence: Fence | None = None
    ) -> WriteOutcome:
        """Delete a document; the caches know it before the caller does."""
        outcome = await super().delete(kind, document_id, precondition=precondition, fence=fence)
        if isinstance(outcome, Deleted):
            self._tail.note(key_of(kind, document_id), outcome.revision, outcome.mark)
        return outcome


def _body(document: Document) -> bytes:
    """Return what a read without Blob values gives."""
    if document.elements is None:
        return document.header
    plain = (element.content_without_blobs or element.content for element in document.elements)
    return spliced(document.header, b",".join(plain))
