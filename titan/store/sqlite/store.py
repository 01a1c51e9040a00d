"""The embedded store: `titan.store.contract.Store` over one SQLite file."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import trio

from titan.store.blob_folder import BlobFolder
from titan.store.codes import KIND, term
from titan.store.contract import (
    NEWEST,
    Changes,
    ChangesGone,
    Document,
    Fence,
    Found,
    Idempotency,
    Kind,
    Latest,
    Need,
    NotFound,
    Page,
    Precondition,
    Stored,
    Term,
    TermBegun,
    WriteMode,
    WriteOutcome,
    is_id,
)
from titan.store.listing import every
from titan.store.sqlite import codes, queries, transactions, wire
from titan.store.sqlite.blobs import SqliteBlobs, blob_folder
from titan.store.sqlite.client import WriterClient, WriterFailed
from titan.store.sqlite.cursors import SqliteCursors
from titan.store.sqlite.prepare import prepare
from titan.store.sqlite.readers import Read, Readers, WouldWait
from titan.store.sqlite.replies import condition, failure, fence_code, outcome
from titan.store.sqlite.sync_records import SqliteSyncRecords
from titan.store.sqlite.tasks import SqliteTasks
from titan.store.sqlite.trouble import Trouble
from titan.store.sqlite.turn import file_of

INLINE_MAX_BYTES = 1 << 16
"""Documents and pages up to this size are read on the loop's thread, which they hold up for 0.2 ms at most."""
INLINE_MAX_CHANGES = 64

T = TypeVar("T")


class SqliteStore:
    """Reads on read-only connections, writes through the writer process that `run_writer` owns.

    Use it as `async with SqliteStore(path) as store`, and run `store.run_writer` somewhere; `open_sqlite_store` does
    both. The file must exist with a schema that this program can serve (`titan.store.sqlite.prepare`).
    """

    def __init__(self, path: Path, *, writer_command: Sequence[str] | None = None) -> None:
        """`writer_command` starts the writer process where `python -m titan.store.sqlite.writer` would not."""
        self.path = path.resolve()  # one name for all who share its locks
        self.writer = WriterClient(self.path, writer_command)
        self.blobs = SqliteBlobs(BlobFolder(blob_folder(self.path)), self.writer.call)
        self._readers = Readers(self.path)
        self.sync_records = SqliteSyncRecords(self._soon, self.writer.call)
        self.cursors = SqliteCursors(self._soon, self.writer.call)
        self.tasks = SqliteTasks(self._soon, self._readers.there, self.writer.call)

    async def __aenter__(self) -> Self:
        await self._readers.open()
        self.writer.file = file_of(str(self.path))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.writer.close()
        await self._readers.close()

    async def run_writer(self, started: Callable[[], object]) -> None:
        """Own the writer process; see `WriterClient.run`."""
        await self.writer.run(started)

    @property
    def trouble(self) -> Trouble | None:
        """What keeps the store from serving as it should; a write's trouble goes first, as it is the greater."""
        return self.writer.trouble or self._readers.trouble

    async def probe(self) -> None:
        """Write something that nobody misses. Raises as a write does."""
        reply = await self.writer.call(wire.PROBE)
        if reply != (wire.PROBED,):
            raise failure(*reply)

    @property
    def history(self) -> str:
        """Every read is as new as can be, so marks are of no use here and this name tells nothing apart."""
        return "embedded"

    async def get(self, kind: Kind, document_id: str, *, with_blobs: bool = False) -> Stored | None:
        """Return the document, or None where there is none."""
        return (await self.find(kind, document_id, with_blobs=with_blobs)).stored

    async def find(
        self,
        kind: Kind,
        document_id: str,
        *,
        with_blobs: bool = False,
        need: Need = NEWEST,  # noqa: ARG002
    ) -> Found:
        """Read a document, or find that there is none."""
        read = partial(queries.get, kind=kind, document_id=document_id, with_blobs=with_blobs)
        try:
            return Found(await self._soon(partial(read, max_bytes=INLINE_MAX_BYTES)), 0)
        except queries.TooBig:
            return Found(await self._readers.there(read), 0)

    async def _soon(self, read: Read[T]) -> T:
        """Make a short read here and now, elsewhere only if a lock is in the way."""
        await trio.lowlevel.checkpoint()
        try:
            return self._readers.here(read)
        except WouldWait:
            return await self._readers.there(read)

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
        read = partial(queries.page, kind=kind, terms=wanted, after=after, limit=limit, with_blobs=with_blobs)
        if len(wanted) <= 1:  # with more there is no telling how much has to be looked through
            try:
                return await self._soon(partial(read, max_bytes=INLINE_MAX_BYTES))
            except queries.TooBig:
                pass
        return await self._readers.there(read)

    async def write(
        self,
        document: Document,
        mode: WriteMode,
        *,
        precondition: Precondition | None = None,
        idempotency: Idempotency | None = None,
        fence: Fence | None = None,
    ) -> WriteOutcome:
        """Write a whole document."""
        if not is_id(document.id):
            raise ValueError("an id has 1 to 2,048 characters, none of them U+0000 or a lone surrogate")
        return outcome(
            await self.writer.call(
                wire.WRITE,
                fence_code(fence),
                codes.document(document),
                codes.MODE[mode],
                condition(precondition),
                idempotency and (idempotency.scope, idempotency.request),
            )
        )

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
        return outcome(
            await self.writer.call(wire.DELETE, fence_code(fence), KIND[kind], document_id, condition(precondition))
        )

    async def changes(self, *, after: str | None = None, limit: int = 1000) -> Changes | ChangesGone:
        """Return committed changes behind a cursor."""
        few = min(limit, INLINE_MAX_CHANGES)
        found = await self._soon(partial(queries.changes, after=after, limit=few))
        if few < limit and isinstance(found, Changes) and len(found.items) == few:
            return await self._readers.there(partial(queries.changes, after=after, limit=limit))
        return found

    async def latest(self, limit: int) -> Latest:
        """Return up to `limit` of the newest changes and the cursor behind them."""
        return await self._readers.there(partial(queries.latest, limit=limit))

    async def cursor(self) -> str:
        """Return the cursor behind the newest change."""
        return await self._soon(queries.cursor)

    async def trim_changes(self, *, before_ms: int, fence: Fence) -> int:
        """Forget the changes of before that time, a few at a time."""
        trimmed = 0
        while True:
            reply = await self.writer.call(wire.TRIM, fence_code(fence), before_ms)
            if reply[0] != wire.TRIMMED:
                raise failure(*reply)
            count: int = reply[1]
            trimmed += count
            if count < transactions.TRIMMED_AT_ONCE:
                return trimmed

    async def begin_term(self, role: str, holder: str) -> int:
        """Begin the next term of a role and return its number."""
        code, *rest = await self.writer.call(wire.BEGIN_TERM, role, holder)
        if code != wire.TERM_BEGUN:
            raise failure(code, *rest)
        epoch: int = rest[0]
        return epoch

    async def terms(self) -> Sequence[TermBegun]:
        """Return the newest term of every role that ever had one."""
        return await self._soon(queries.terms)

    def export(self, kind: Kind, *, with_blobs: bool = True) -> AsyncIterator[Stored]:
        """Iterate over all documents of a kind, page by page, in order of creation."""
        return every(self, kind, with_blobs=with_blobs)


@asynccontextmanager
async def open_sqlite_store(path: Path) -> AsyncIterator[SqliteStore]:
    """Open the store for a tool: prepare the file if needed, with a writer process for as long as it is open.

    What the body raises comes out as it is, not in a group. Should the writer process die, the calls that follow
    raise `StoreUnavailable` with the reason.
    """
    await prepare(path)
    failure: Exception | None = None
    async with SqliteStore(path) as store, trio.open_nursery() as nursery:

        async def write() -> None:
            try:
                await store.run_writer(lambda: None)
            except WriterFailed as error:
                store.writer.close(error.reason)

        nursery.start_soon(write)
        try:
            yield store
        except Exception as error:  # noqa: BLE001 (raised again below, outside the nursery's group)
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
