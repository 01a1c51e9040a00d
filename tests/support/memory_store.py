"""The store contract in memory, for handler tests that need a store that can be slow, full or away on purpose."""

import time
from collections.abc import AsyncIterator, Sequence

import trio

from titan.store.contract import (
    AlreadyExists,
    Change,
    ChangeType,
    Created,
    Deleted,
    Document,
    Done,
    Idempotency,
    IdempotencyMismatch,
    IfMatch,
    Kind,
    NotFound,
    Page,
    Precondition,
    PreconditionFailed,
    Replaced,
    Replayed,
    Stored,
    Term,
    WriteMode,
    WriteOutcome,
)


class MemoryStore:
    def __init__(self) -> None:
        self._documents: dict[tuple[Kind, str], tuple[int, int, int, Document]] = {}
        self._keys: dict[bytes, tuple[bytes, Done]] = {}
        self._changes: list[Change] = []

    async def get(self, kind: Kind, document_id: str, *, with_blobs: bool = False) -> Stored | None:
        await trio.lowlevel.checkpoint()
        row = self._documents.get((kind, document_id))
        return None if row is None else _stored(row, with_blobs=with_blobs)

    async def page(
        self,
        kind: Kind,
        *,
        terms: Sequence[Term] = (),
        after: int = 0,
        limit: int = 100,
        with_blobs: bool = False,
    ) -> Page:
        await trio.lowlevel.checkpoint()
        rows = [
            row
            for (row_kind, _), row in self._documents.items()
            if row_kind is kind and row[0] > after and row[3].terms.issuperset(terms)
        ]
        rows.sort(key=lambda row: row[0])
        items = tuple(_stored(row, with_blobs=with_blobs) for row in rows[:limit])
        return Page(items, rows[limit - 1][0] if len(rows) > limit else None)

    async def write(
        self,
        document: Document,
        mode: WriteMode,
        *,
        precondition: Precondition | None = None,
        idempotency: Idempotency | None = None,
    ) -> WriteOutcome:
        await trio.lowlevel.checkpoint()
        if idempotency is not None and idempotency.scope in self._keys:
            request, first = self._keys[idempotency.scope]
            return Replayed(first) if request == idempotency.request else IdempotencyMismatch()
        outcome = self._write(document, mode, precondition)
        if idempotency is not None and isinstance(outcome, Created | Replaced):
            self._keys[idempotency.scope] = (idempotency.request, outcome)
        return outcome

    def _write(self, document: Document, mode: WriteMode, precondition: Precondition | None) -> WriteOutcome:
        row = self._documents.get((document.kind, document.id))
        current = None if row is None else row[1]
        if not _holds(precondition, current):
            return PreconditionFailed(current)
        if row is None:
            if mode is WriteMode.REPLACE:
                return NotFound()
            change = self._change(document.kind, document.id, ChangeType.CREATED)
            self._documents[document.kind, document.id] = (
                change.revision,
                change.revision,
                change.modified_ms,
                document,
            )
            return Created(change.revision, change.modified_ms)
        if mode is WriteMode.CREATE:
            return AlreadyExists(row[1])
        change = self._change(document.kind, document.id, ChangeType.UPDATED)
        self._documents[document.kind, document.id] = (row[0], change.revision, change.modified_ms, document)
        return Replaced(change.revision, change.modified_ms)

    async def delete(self, kind: Kind, document_id: str, *, precondition: Precondition | None = None) -> WriteOutcome:
        await trio.lowlevel.checkpoint()
        row = self._documents.get((kind, document_id))
        current = None if row is None else row[1]
        if not _holds(precondition, current):
            return PreconditionFailed(current)
        if row is None:
            return NotFound()
        del self._documents[kind, document_id]
        return Deleted(self._change(kind, document_id, ChangeType.DELETED).revision)

    async def changes(self, *, after: int = 0, limit: int = 1000) -> Sequence[Change]:
        await trio.lowlevel.checkpoint()
        return self._changes[after : after + limit]

    async def export(self, kind: Kind, *, with_blobs: bool = True) -> AsyncIterator[Stored]:
        for item in (await self.page(kind, limit=len(self._documents) + 1, with_blobs=with_blobs)).items:
            yield item

    def _change(self, kind: Kind, document_id: str, change_type: ChangeType) -> Change:
        change = Change(len(self._changes) + 1, kind, document_id, change_type, time.time_ns() // 1_000_000)
        self._changes.append(change)
        return change


def _holds(precondition: Precondition | None, current: int | None) -> bool:
    if precondition is None:
        return True
    named = current is not None and (not precondition.revisions or current in precondition.revisions)
    return named if isinstance(precondition, IfMatch) else not named


def _stored(row: tuple[int, int, int, Document], *, with_blobs: bool) -> Stored:
    _, revision, modified_ms, document = row
    body = document.header
    if document.elements is not None:
        contents = [
            element.content if with_blobs or element.content_without_blobs is None else element.content_without_blobs
            for element in document.elements
        ]
        body = b'%b,"submodelElements":[%b]}' % (document.header[:-1], b",".join(contents))
    return Stored(document.id, revision, modified_ms, body)
