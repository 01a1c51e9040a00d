"""One write is one transaction of four round trips: lock, look, write, COMMIT.

1. The document's advisory lock, together with BEGIN. Whoever may create or delete a document holds it, so that of two
   creators the second waits for the first instead of drawing its revision too early, and so that a transaction gets
   its number (`xid`) only after the lock: the changes of one document have growing revisions *and* numbers.
2. What is there: the document's row, locked against writers of its elements, and the idempotency record. It is a
   statement of its own, because a statement sees what was committed before it began, not what it waited for.
3. All rows of the change in one statement: document, elements, terms, outbox, idempotency record.
4. COMMIT (`Session.commit`).

Between 1 and 4 the client only decides; the locks are held for as long as it takes to answer three times.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from titan.store.codes import KIND, term
from titan.store.contract import (
    AlreadyExists,
    Document,
    Done,
    Element,
    Fence,
    Idempotency,
    IdempotencyMismatch,
    IdempotencyRunning,
    IfMatch,
    IfNoneMatch,
    Kind,
    NotFound,
    Precondition,
    PreconditionFailed,
    Refused,
    Replayed,
    StoreDamaged,
    WriteMode,
    WriteOutcome,
)
from titan.store.postgres import blob_rows, terms
from titan.store.postgres import write_sql as sql
from titan.store.postgres.codes import (
    CREATED,
    DELETED,
    REPLACED,
    claim_keys,
    digest,
    done,
    lock_key,
    pack_terms,
)
from titan.store.postgres.session import Row, Session


async def write(
    session: Session,
    document: Document,
    mode: WriteMode,
    precondition: Precondition | None,
    idempotency: Idempotency | None,
    fence: Fence | None,
) -> WriteOutcome:
    """Write a whole document; see `titan.store.contract.Store.write`."""
    id_digest = digest(document.id)
    row = await _lock_and_look(session, document.kind, document.id, id_digest, idempotency)
    await terms.hold(session, fence)
    refused = _earlier(row, idempotency) or judge(mode, precondition, row["revision"])
    if refused is not None:
        await _end(session, refused)
        return replace(refused, mark=row["horizon"] - 1)
    key = (None, None) if idempotency is None else (idempotency.scope, idempotency.request)
    content = (KIND[document.kind], document.id, *_content(document), *key)
    if row["n"] is None:
        code, made = CREATED, await session.row(sql.CREATE, *content, id_digest)
    else:
        code, made = REPLACED, await session.row(sql.REPLACE, *content, row["n"])
    if document.blobs or row["names_blobs"]:
        await blob_rows.set_uses(session, document.kind, id_digest, document.blobs)
    return await _commit(session, code, made)


async def delete(
    session: Session, kind: Kind, document_id: str, precondition: Precondition | None, fence: Fence | None
) -> WriteOutcome:
    """Delete a document; see `titan.store.contract.Store.delete`."""
    id_digest = digest(document_id)
    row = await _lock_and_look(session, kind, document_id, id_digest, None)
    await terms.hold(session, fence)
    refused = judge(WriteMode.REPLACE, precondition, row["revision"])
    if refused is not None:
        await session.rollback()
        return replace(refused, mark=row["horizon"] - 1)
    if row["names_blobs"]:
        await blob_rows.set_uses(session, kind, id_digest, frozenset())
    return await _commit(session, DELETED, await session.row(sql.DELETE, KIND[kind], document_id, row["n"]))


def judge(mode: WriteMode, precondition: Precondition | None, current: int | None) -> Refused | None:
    """Say why a write is refused, None where it is not; `current` is the revision of what is there."""
    if current is None and mode is WriteMode.REPLACE:
        return NotFound()  # RFC 9110 13.2.1: no precondition hides a 404
    if precondition is not None and not _holds(precondition, current):
        return PreconditionFailed(current)
    if current is not None and mode is WriteMode.CREATE:
        return AlreadyExists(current)
    return None


def _holds(precondition: Precondition, current: int | None) -> bool:
    matches = current is not None and (not precondition.revisions or current in precondition.revisions)
    match precondition:
        case IfMatch():
            return matches
        case IfNoneMatch():
            return not matches
    assert_never(precondition)


async def _lock_and_look(
    session: Session, kind: Kind, document_id: str, id_digest: bytes, idempotency: Idempotency | None
) -> Row:
    lock = lock_key(kind, id_digest)
    if idempotency is None:
        await session.begin(sql.LOCK.format(lock=lock))
    else:
        await session.begin(sql.CLAIM_AND_LOCK.format(lock=lock, claim=claim_keys(idempotency.scope)))
    row = await session.row(sql.LOOK, KIND[kind], id_digest, idempotency and idempotency.scope)
    assert row is not None
    if row["n"] is not None and row["id"] != document_id:
        raise StoreDamaged(f"the digest of the id {document_id!r} leads to the document {row['id']!r}")
    return row


def _earlier(row: Row, idempotency: Idempotency | None) -> Replayed | IdempotencyMismatch | IdempotencyRunning | None:
    """Return what the idempotency key says of an earlier request, None where there was none."""
    if idempotency is None:
        return None
    if row["is_running"]:
        return IdempotencyRunning()
    if row["request"] is None:
        return None
    if row["request"] != idempotency.request:
        return IdempotencyMismatch()
    return Replayed(done(row["outcome"], row["first_revision"], row["first_modified_ms"], row["horizon"] - 1))


async def _end(session: Session, refused: Refused | Replayed) -> None:
    if isinstance(refused, Replayed):
        await session.row(sql.WAIT_FOR_STANDBY)
        await session.commit()
    else:
        await session.rollback()


async def _commit(session: Session, code: int, made: Row | None) -> Done:
    assert made is not None
    await session.commit()
    return done(code, made["revision"], made["modified_ms"], made["xid"])


def _content(document: Document) -> tuple[object, ...]:
    """Return $3 to $13."""
    elements = document.elements or ()
    contents = [element.content for element in elements]
    plains = [element.content_without_blobs for element in elements]
    starts, plain_starts = _starts([*contents, *plains], len(elements))
    return (
        document.header,
        document.elements is not None,
        _bytes(document.header, [_plain(element) for element in elements]),
        _bytes(document.header, contents),
        [element.id_short for element in elements],
        starts,
        [str(len(content)) for content in contents],
        plain_starts,
        [None if plain is None else str(len(plain)) for plain in plains],
        b"".join([*contents, *filter(None, plains)]),
        pack_terms(map(term, document.terms)),
    )


def _starts(parts: Sequence[bytes | None], middle: int) -> tuple[list[str | None], list[str | None]]:
    """Return where each part begins once they stand one after the other, counted from 1; in two halves."""
    starts: list[str | None] = []
    start = 1
    for part in parts:
        starts.append(None if part is None else str(start))
        start += len(part or b"")
    return starts[:middle], starts[middle:]


def _plain(element: Element) -> bytes:
    return element.content if element.content_without_blobs is None else element.content_without_blobs


def _bytes(header: bytes, elements: Sequence[bytes]) -> int:
    """Return about how many bytes a read will give."""
    return len(header) + sum(len(element) + 1 for element in elements)
