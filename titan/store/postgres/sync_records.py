"""PostgreSQL's records of other servers' documents; see `titan.store.sync_records.SyncRecords`.

Ids may be longer than an index entry; as with documents, their digests stand for them. No arrays but of text are sent
(`write_sql` says why).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from titan.store.codes import KIND, KIND_OF
from titan.store.contract import Fence, Kind
from titan.store.postgres import terms
from titan.store.postgres.codes import NOW_MS, digest
from titan.store.postgres.session import Row, Session
from titan.store.sync_records import Followed, Place

_COLUMNS = "id, etag, digest, gave_way, revision, is_copy"

_BEGIN = f"""
INSERT INTO titan_sync_source AS s (source, origin, scope, begun_ms) VALUES ($1, $2, $3, {NOW_MS})
ON CONFLICT (source) DO UPDATE SET origin = excluded.origin, scope = excluded.scope, begun_ms = excluded.begun_ms,
  kind = CASE WHEN (s.origin, s.scope) = (excluded.origin, excluded.scope) THEN s.kind END
RETURNING kind, listed_by, cursor, is_listed
"""
# Before that: what another server's documents were under this name is nobody's business any more.
_FORGET_OTHERS = """
DELETE FROM titan_sync_document d USING titan_sync_source s
WHERE d.source = $1 AND s.source = $1 AND s.origin <> $2
"""
_LOOK = f"""
SELECT {_COLUMNS} FROM titan_sync_document
WHERE source = $1 AND kind = $2 AND id_digest IN (
  SELECT substring($3::bytea, i * 32 + 1, 32) FROM generate_series(0, length($3::bytea) / 32 - 1) AS i
)
"""
_FOLLOWED = f"""
SELECT {_COLUMNS} FROM titan_sync_document
WHERE source = $1 AND kind = $2 AND id_digest > $3 ORDER BY id_digest LIMIT $4
"""
_KEEP = """
INSERT INTO titan_sync_document AS d (source, kind, id_digest, id, etag, digest, gave_way, revision, is_copy)
SELECT $1, $2, decode(r.id_digest, 'hex'), r.id, r.etag, decode(r.digest, 'hex'), decode(r.gave_way, 'hex'),
  r.revision::bigint, r.is_copy::boolean
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
  AS r (id_digest, id, etag, digest, gave_way, revision, is_copy)
ON CONFLICT (source, kind, id_digest) DO UPDATE SET
  etag = excluded.etag, digest = excluded.digest, gave_way = excluded.gave_way, revision = excluded.revision,
  is_copy = excluded.is_copy
"""
_FORGET = """
DELETE FROM titan_sync_document WHERE source = $1 AND kind = $2 AND id_digest IN (
  SELECT substring($3::bytea, i * 32 + 1, 32) FROM generate_series(0, length($3::bytea) / 32 - 1) AS i
)
"""
_KEEP_PLACE = """
UPDATE titan_sync_source SET kind = $2, listed_by = $3, cursor = $4, is_listed = $5 WHERE source = $1
"""
_FINISH = "UPDATE titan_sync_source SET kind = NULL WHERE source = $1"


class PostgresSyncRecords:
    """Each call is one operation on the island, by `use`."""

    def __init__(self, use: Callable[..., Awaitable[Any]]) -> None:
        self._use = use

    async def begin(self, source: str, *, origin: bytes, scope: bytes, fence: Fence) -> Place | None:
        """Begin or go on with a pull."""
        row: Row = await self._use(_begin, source, origin, scope, fence)
        if row["kind"] is None:
            return None
        return Place(KIND_OF[row["kind"]], row["listed_by"], row["cursor"], row["is_listed"])

    async def look(self, source: str, kind: Kind, ids: Sequence[str]) -> Sequence[Followed]:
        """Return what is known of these documents."""
        rows = await self._use(_read, _LOOK, source, KIND[kind], b"".join(map(digest, ids)))
        return [Followed(kind, **row) for row in rows]

    async def followed(self, source: str, kind: Kind, *, after: str | None, limit: int) -> Sequence[Followed]:
        """Return some records of a kind."""
        behind = b"" if after is None else digest(after)
        return [Followed(kind, **row) for row in await self._use(_read, _FOLLOWED, source, KIND[kind], behind, limit)]

    async def note(
        self,
        source: str,
        kind: Kind,
        records: Sequence[Followed],
        *,
        forget: Sequence[str] = (),
        place: Place | None = None,
        fence: Fence,
    ) -> None:
        """Keep records, forget others, keep the place."""
        await self._use(_note, source, kind, records, forget, place, fence)

    async def finish(self, source: str, *, fence: Fence) -> None:
        """Note that a pull came to its end."""
        await self._use(_finish, source, fence)


async def _begin(session: Session, source: str, origin: bytes, scope: bytes, fence: Fence) -> Row:
    await session.begin()
    await terms.hold(session, fence)
    await session.row(_FORGET_OTHERS, source, origin)
    row = await session.row(_BEGIN, source, origin, scope)
    assert row is not None
    await session.commit()
    return row


async def _read(session: Session, sql: str, *args: object) -> Sequence[Row]:
    return await session.read_rows(sql, *args)


async def _note(
    session: Session,
    source: str,
    kind: Kind,
    records: Sequence[Followed],
    forget: Sequence[str],
    place: Place | None,
    fence: Fence,
) -> None:
    await session.begin()
    await terms.hold(session, fence)
    if records:
        await session.row(_KEEP, source, KIND[kind], *_columns(records))
    if forget:
        await session.row(_FORGET, source, KIND[kind], b"".join(map(digest, forget)))
    if place is not None:
        await session.row(_KEEP_PLACE, source, KIND[place.kind], place.by, place.cursor, place.is_listed)
    await session.commit()


async def _finish(session: Session, source: str, fence: Fence) -> None:
    await session.begin()
    await terms.hold(session, fence)
    await session.row(_FINISH, source)
    await session.commit()


def _columns(records: Sequence[Followed]) -> tuple[list[str | None], ...]:
    """Return $3 to $9."""
    return (
        [digest(record.id).hex() for record in records],
        [record.id for record in records],
        [record.etag for record in records],
        [_hex(record.digest) for record in records],
        [_hex(record.gave_way) for record in records],
        [str(record.revision) for record in records],
        [str(record.is_copy) for record in records],
    )


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()
