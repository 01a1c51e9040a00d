"""One pull of one source, from where the last one stopped to the end of its lists; `titan.sync` has the promise."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Final, TypeVar

import trio

from titan.store.contract import Deposed, Fence, Kind, Store, StoreDamaged, StoreUnavailable
from titan.store.sync_records import Followed, Place
from titan.sync.document import Documents, Finding, Gone, Outside, Refused, Settled, Wanted
from titan.sync.listing import By, CursorRefused, Listed, ListPage, NoSuchList, read_page
from titan.sync.network import Resolve, resolve
from titan.sync.policy import Policy
from titan.sync.remote import Remote, RemoteFailed
from titan.sync.report import Outcome, Report
from titan.sync.source import Source

RECORDS_AT_ONCE: Final = 200
"""Records looked through at one time for what the list did not show."""

_EXPECTED: Final = (Deposed, RemoteFailed, StoreDamaged, StoreUnavailable)

A = TypeVar("A")
T = TypeVar("T")


async def pull(
    source: Source,
    store: Store,
    fence: Fence,
    *,
    policy: Policy,
    progress: Callable[[Report], None] = lambda _: None,
    count_one: Callable[[str, str, str], None] = lambda *_: None,
    resolve: Resolve = resolve,
) -> Report:
    """Pull a source once; `progress` is called after each step with the report so far, which is the one returned.

    `count_one` is told of each document: source, kind, outcome (`Metrics.watch_sync`).

    What keeps the other server from answering, or the store from serving, ends it early: `Report.failure` says why, and
    the next pull goes on there. Raises `Deposed` where the term is over, `StoreDamaged`. Cancelled, it leaves what is
    written, each document whole; the next pull goes on at the page.
    """
    report = Report(source.name, count_one=count_one)
    try:
        async with Remote(source, policy.allowed, policy.limits, resolve) as remote:
            try:
                await _Pull(source, store, fence, policy, remote, report, progress).run()
            finally:
                report.requests, report.received_bytes = remote.requests, remote.received_bytes
    except RemoteFailed as error:
        report.failure = str(error)
    except StoreUnavailable as error:
        report.failure = f"the store cannot serve: {error.reason}"
    progress(report)
    return report


class _Pull:
    def __init__(
        self,
        source: Source,
        store: Store,
        fence: Fence,
        policy: Policy,
        remote: Remote,
        report: Report,
        progress: Callable[[Report], None],
    ) -> None:
        self._source = source
        self._records = store.sync_records
        self._fence = fence
        self._limits = policy.limits
        self._remote = remote
        self._report = report
        self._progress = progress
        self._documents = Documents(remote, store, fence, source.filter, policy)
        self._failures = 0  # documents in a row that could not be had
        self._pages = 0  # read to their end

    async def run(self) -> None:
        source = self._source
        place = await self._records.begin(source.name, origin=source.origin, scope=source.scope, fence=self._fence)
        self._report.is_resumed = place is not None
        try:
            for kind in source.filter.kinds:
                if place is None or place.kind is kind:
                    await self._pull_kind(kind, place)
                    place = None
        except RemoteFailed:
            if self._report.is_resumed and not self._pages:  # it does not get over this page: next time from the top
                await self._records.finish(source.name, fence=self._fence)
            raise
        await self._records.finish(source.name, fence=self._fence)

    async def _pull_kind(self, kind: Kind, place: Place | None) -> None:
        seen: set[bytes] = set()  # 16 bytes for each id that the list showed
        if place is None or not place.is_listed:
            await self._read_list(kind, place, seen)
        await self._look_after_missing(kind, seen)

    # --- the list ---

    async def _read_list(self, kind: Kind, place: Place | None, seen: set[bytes]) -> None:
        by = await self._choose(kind) if place is None else By(place.by)
        cursor = None if place is None else place.cursor
        cursors: set[str | None] = {cursor}
        for _ in range(self._limits.max_pages):
            try:
                page = await self._page(kind, by, cursor)
            except CursorRefused:
                if self._pages:
                    raise RemoteFailed("the server refuses a cursor that it has just given") from None
                cursor, cursors = None, {None}  # it was of an earlier day: the list is read from its beginning
                continue
            cursor = page.cursor
            if cursor is not None and cursor in cursors:
                await self._records.finish(self._source.name, fence=self._fence)
                raise RemoteFailed("a list goes round in a circle: a cursor came twice")
            cursors.add(cursor)
            await self._take_page(kind, page.items, seen)
            await self._note(kind, place=Place(kind, by.value, cursor, is_listed=cursor is None))
            self._pages += 1
            if cursor is None:
                return
        await self._records.finish(self._source.name, fence=self._fence)
        raise RemoteFailed(f"a list has more than {self._limits.max_pages} pages")

    async def _page(self, kind: Kind, by: By, cursor: str | None) -> ListPage:
        try:
            return await read_page(self._remote, self._source, kind, by, cursor, self._limits)
        except NoSuchList as error:
            raise RemoteFailed(f"there is no list {error} any more") from None

    async def _choose(self, kind: Kind) -> By:
        """Choose the list of ids where documents have entity tags, so that only those that changed travel."""
        if self._source.filter.ids:
            return By.IDS
        if kind is Kind.CONCEPT_DESCRIPTION:  # the API has no such list for them
            return By.DOCUMENTS
        try:
            few = replace(self._limits, page_items=1)
            page = await read_page(self._remote, self._source, kind, By.REFERENCES, None, few)
        except (NoSuchList, RemoteFailed):
            return By.DOCUMENTS  # if the server is away, that one says so
        if not page.items:
            return By.REFERENCES
        document_id = page.items[0].id
        if document_id is None:
            return By.DOCUMENTS
        known = await self._look(kind, [document_id])
        has_tag = await self._documents.has_tag(kind, document_id, known.get(document_id))
        return By.REFERENCES if has_tag else By.DOCUMENTS

    async def _take_page(self, kind: Kind, items: Sequence[Listed], seen: set[bytes]) -> None:
        for batch in _batches(items, self._limits.in_flight):
            fresh = _unseen(batch, seen)
            ids = [item.id for item in fresh if item.id is not None]
            gone = await self._take(kind, fresh, await self._look(kind, ids), was_listed=True)
            # What was gone between list and look is looked after with the missing.
            seen.update(_key(document_id) for document_id in ids if document_id not in gone)

    # --- what the list did not show ---

    async def _look_after_missing(self, kind: Kind, seen: set[bytes]) -> None:
        """Ask for each document that is followed and was not listed: a list may miss one that is there."""
        after: str | None = None
        while records := await self._records.followed(self._source.name, kind, after=after, limit=RECORDS_AT_ONCE):
            after = records[-1].id
            missing = [record for record in records if not _is_in(seen, record.id)]
            for batch in _batches(missing, self._limits.in_flight):
                await self._look_after(kind, batch)

    async def _look_after(self, kind: Kind, batch: Sequence[Followed]) -> None:
        wanted = self._source.filter.ids
        outside = [record.id for record in batch if wanted and record.id not in wanted]
        for _ in outside:
            self._report.add(kind, Outcome.RELEASED)
        known = {record.id: record for record in batch if record.id not in outside}
        gone = await self._take(kind, [Listed(document_id) for document_id in known], known, was_listed=False)
        for document_id in gone:
            outcome = await self._documents.remove(known[document_id])
            if outcome is not None:
                self._report.add(kind, outcome)
        if outside or gone:
            await self._note(kind, forget=[*outside, *gone])

    # --- both ---

    async def _take(
        self, kind: Kind, items: Sequence[Listed], known: dict[str, Followed], *, was_listed: bool
    ) -> list[str]:
        """Look at some documents, write those that are wanted, note it all; return the ids of those that are gone."""

        async def examine(item: Listed) -> Finding:
            before = None if item.id is None else known.get(item.id)
            return await self._documents.examine(kind, item, before, was_listed=was_listed)

        findings = await _each(examine, items)
        wanted = [finding for finding in findings if isinstance(finding, Wanted)]
        announced = [
            Followed(kind, each.document.id, is_copy=True)
            for each in wanted
            if not each.revision and not _announced(each)
        ]
        if announced:
            await self._note(kind, announced)
        written = dict(zip(map(id, wanted), await _each(self._documents.write, wanted), strict=True))
        records, forget, gone = [], [], []
        for item, finding in zip(items, findings, strict=True):
            match written.get(id(finding), finding):
                case Settled(outcome, record):
                    self._report.add(kind, outcome)
                    if record != known.get(record.id):
                        records.append(record)
                case Refused(reason):
                    self._report.refuse(kind, item.id, reason)
                case Outside() if item.id in known:
                    self._report.add(kind, Outcome.RELEASED)
                    forget.append(item.id)
                case Gone() if item.id is not None:
                    gone.append(item.id)
        if records or forget:
            await self._note(kind, records, forget=forget)
        self._count_failures(findings)
        return gone

    def _count_failures(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            if isinstance(finding, Refused) and finding.is_the_servers:
                self._failures += 1
                if self._failures >= self._limits.failures_in_a_row:
                    raise RemoteFailed(
                        f"{self._failures} documents in a row could not be had; the last: {finding.reason}"
                    )
            else:
                self._failures = 0

    async def _look(self, kind: Kind, ids: Sequence[str]) -> dict[str, Followed]:
        return {record.id: record for record in await self._records.look(self._source.name, kind, ids)}

    async def _note(
        self, kind: Kind, records: Sequence[Followed] = (), *, forget: Sequence[str] = (), place: Place | None = None
    ) -> None:
        await self._records.note(self._source.name, kind, records, forget=forget, place=place, fence=self._fence)
        self._report.requests = self._remote.requests
        self._report.received_bytes = self._remote.received_bytes
        self._progress(self._report)


def _announced(wanted: Wanted) -> bool:
    """Say whether the record already says that a pull is about to create the document, or did."""
    return wanted.known is not None and wanted.known.is_copy


def _key(document_id: str) -> bytes:
    return blake2b(document_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _is_in(seen: set[bytes], document_id: str | None) -> bool:
    return document_id is not None and _key(document_id) in seen


def _unseen(items: Sequence[Listed], seen: set[bytes]) -> list[Listed]:
    """Return what was not listed before; a document may move from page to page while they are read."""
    fresh, ids = [], set[str]()
    for item in items:
        if item.id is None or not (item.id in ids or _is_in(seen, item.id)):
            fresh.append(item)
            ids.add(item.id or "")
    return fresh


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def _each(work: Callable[[A], Awaitable[T]], arguments: Sequence[A]) -> list[T]:
    """Do the same for all at once; return the results in their order. The first expected error ends them all."""
    results: dict[int, T] = {}
    failures: list[Exception] = []

    async def one(place: int, argument: A, everything: trio.CancelScope) -> None:
        try:
            results[place] = await work(argument)
        except _EXPECTED as error:
            failures.append(error)
            everything.cancel()

    async with trio.open_nursery() as nursery:
        for place, argument in enumerate(arguments):
            nursery.start_soon(one, place, argument, nursery.cancel_scope)
    if failures:
        raise failures[0]
    return [results[place] for place in range(len(arguments))]
