"""The embedded store's records of other servers' documents; see `titan.store.sync_records.SyncRecords`."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from titan.store.codes import KIND, KIND_OF
from titan.store.contract import Fence, Kind
from titan.store.sqlite import sync_rows, wire
from titan.store.sqlite.readers import Read
from titan.store.sqlite.replies import failure, fence_code
from titan.store.sync_records import Followed, Place

ReadRows = Callable[[Read[list[sync_rows.Row]]], Awaitable[list[sync_rows.Row]]]


class SqliteSyncRecords:
    """Reads by `read`, changes by the writer process."""

    def __init__(self, read: ReadRows, call: Callable[..., Awaitable[tuple[Any, ...]]]) -> None:
        self._read = read
        self._call = call

    async def begin(self, source: str, *, origin: bytes, scope: bytes, fence: Fence) -> Place | None:
        """Begin or go on with a pull."""
        place = await self._change(wire.SYNC_BEGIN, fence, source, origin, scope)
        if not place:
            return None
        kind, by, cursor, is_listed = place
        return Place(KIND_OF[kind], by, cursor, bool(is_listed))

    async def look(self, source: str, kind: Kind, ids: Sequence[str]) -> Sequence[Followed]:
        """Return what is known of these documents."""
        return [
            _record(row) for row in await self._read(partial(sync_rows.look, source=source, kind=KIND[kind], ids=ids))
        ]

    async def followed(self, source: str, kind: Kind, *, after: str | None, limit: int) -> Sequence[Followed]:
        """Return some records of a kind."""
        read = partial(sync_rows.followed, source=source, kind=KIND[kind], after=after or "", limit=limit)
        return [_record(row) for row in await self._read(read)]

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
        rows = [_row(record) for record in records]
        at = place and (KIND[place.kind], place.by, place.cursor, int(place.is_listed))
        await self._change(wire.SYNC_NOTE, fence, source, KIND[kind], tuple(rows), tuple(forget), at)

    async def finish(self, source: str, *, fence: Fence) -> None:
        """Note that a pull came to its end."""
        await self._change(wire.SYNC_FINISH, fence, source)

    async def _change(self, operation: int, fence: Fence, *arguments: Any) -> tuple[Any, ...]:
        code, *rest = await self._call(operation, fence_code(fence), *arguments)
        if code != wire.SYNC_DONE:
            raise failure(code, *rest)
        return tuple(rest)


def _row(record: Followed) -> sync_rows.Row:
    return (
        KIND[record.kind],
        record.id,
        record.etag,
        record.digest,
        record.gave_way,
        record.revision,
        int(record.is_copy),
    )


def _record(row: sync_rows.Row) -> Followed:
    kind, document_id, etag, digest, gave_way, revision, is_copy = row
    return Followed(KIND_OF[kind], document_id, etag, digest, gave_way, revision, bool(is_copy))
