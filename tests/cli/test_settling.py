"""A document is settled right whatever others write meanwhile and whatever state the store is in."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from tests.support.sqlite_files import fresh_database
from titan.cli.transfer import importer as importing
from titan.cli.transfer import settling
from titan.cli.transfer.files import Candidate
from titan.cli.transfer.importer import Importer, Policy
from titan.cli.transfer.rows import Row, Status
from titan.cli.transfer.settling import Existing, Hopeless, Verdict, settle
from titan.model.documents import Prepared, prepare
from titan.store.contract import (
    Changes,
    Document,
    Kind,
    OutcomeUnknown,
    Store,
    StoreClosed,
    Stored,
    StoreDamaged,
    StoreFull,
    StoreUnavailable,
    WriteMode,
    WriteOutcome,
)
from titan.store.sqlite.store import open_sqlite_store


def document(id_short: str, document_id: str = "https://example.com/sm/1") -> Document:
    raw = json.dumps({"modelType": "Submodel", "id": document_id, "idShort": id_short}).encode()
    prepared = prepare(Kind.SUBMODEL, raw, lenient=True)
    assert isinstance(prepared, Prepared)
    return prepared.document


OLD, NEW, THEIRS = document("Old"), document("New"), document("Theirs")


Script = Callable[[int], Awaitable[object]]


async def nothing(_: int) -> None:
    """Do nothing before or after a write."""


class ScriptedStore:
    """A real store; the test's own script runs before and after each of our writes and may write too, or raise."""

    def __init__(self, store: Store) -> None:
        self.real = store
        self.writes = 0
        self.before: Script = nothing
        self.after: Script = nothing

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def write(self, document: Document, mode: WriteMode, **options: Any) -> WriteOutcome:
        self.writes += 1
        await self.before(self.writes)
        outcome = await self.real.write(document, mode, **options)
        await self.after(self.writes)
        return outcome

    async def put(self, theirs: Document) -> None:
        await self.real.write(theirs, WriteMode.PUT)

    async def id_short(self) -> str:
        found = await self.real.get(Kind.SUBMODEL, NEW.id)
        assert isinstance(found, Stored)
        return str(json.loads(found.body)["idShort"])

    async def changed(self) -> int:
        found = await self.real.changes(limit=10_000)
        assert isinstance(found, Changes)
        return len(found.items)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ScriptedStore]:
    async with open_sqlite_store(fresh_database(tmp_path / "titan.db")) as real:
        yield ScriptedStore(real)


def settled(store: ScriptedStore, existing: Existing = Existing.REPLACE) -> Coroutine[None, None, Verdict | Hopeless]:
    return settle(cast(Store, store), NEW, existing, is_patient=lambda: True)


def first_time(script: Callable[[], Awaitable[object]]) -> Script:
    async def run(number: int) -> None:
        if number == 1:
            await script()

    return run


def failing(times: int, error: Exception) -> Script:
    async def fail(number: int) -> None:
        if number <= times:
            raise error

    return fail


async def test_somebody_else_creates_it_with_the_same_content(store):
    store.before = first_time(lambda: store.put(NEW))
    assert await settled(store) == Verdict(Status.SKIPPED, "same content")


@pytest.mark.parametrize(
    ("existing", "status", "kept"),
    [
        (Existing.REFUSE, Status.REFUSED, "Theirs"),
        (Existing.SKIP, Status.SKIPPED, "Theirs"),
        (Existing.REPLACE, Status.CHANGED, "New"),
    ],
)
async def test_somebody_else_creates_it_with_other_content(store, existing, status, kept):
    store.before = first_time(lambda: store.put(THEIRS))
    verdict = await settled(store, existing)
    assert isinstance(verdict, Verdict)
    assert verdict.status is status
    assert await store.id_short() == kept


async def test_somebody_else_changes_it_between_our_look_and_our_write(store):
    await store.put(OLD)
    store.before = first_time(lambda: store.put(THEIRS))
    assert await settled(store) == Verdict(Status.CHANGED)
    assert store.writes == 2
    assert await store.id_short() == "New"


async def test_somebody_else_deletes_it_between_our_look_and_our_write(store):
    await store.put(OLD)
    store.before = first_time(lambda: store.real.delete(Kind.SUBMODEL, OLD.id))
    assert await settled(store) == Verdict(Status.TAKEN)
    assert store.writes == 2


async def test_others_who_never_stop_changing_it_win(store):
    await store.put(OLD)
    store.before = lambda number: store.put(document(f"Theirs{number}"))
    assert await settled(store) == Verdict(Status.REFUSED, "others keep changing it")
    assert store.writes == settling.ATTEMPTS


async def test_a_store_that_cannot_serve_is_asked_again(store):
    store.before = failing(5, StoreUnavailable("locked", retry_after_s=0.01))
    assert await settled(store) == Verdict(Status.TAKEN)
    assert store.writes == 6


async def test_patience_ends(store, monkeypatch):
    monkeypatch.setattr(settling, "PATIENCE_S", 0.05)
    store.before = failing(1_000_000, StoreUnavailable("locked", retry_after_s=0.02))
    assert await settled(store) == Hopeless("the store cannot serve: locked")
    assert 2 <= store.writes <= 3


async def test_who_wants_to_stop_is_not_patient(store):
    store.before = failing(1, StoreUnavailable("locked"))
    outcome = await settle(cast(Store, store), NEW, Existing.REPLACE, is_patient=lambda: False)
    assert outcome == Hopeless("the store cannot serve: locked")
    assert store.writes == 1


@pytest.mark.parametrize("error", [StoreFull("no room"), StoreClosed("the writer died"), StoreDamaged("page 7")])
async def test_a_store_without_hope_is_not_asked_again(store, error):
    store.before = failing(1, error)
    assert await settled(store) == Hopeless(error.reason)
    assert store.writes == 1


@pytest.mark.parametrize(("before", "status"), [(None, Status.TAKEN), (OLD, Status.CHANGED)])
async def test_a_write_whose_end_nobody_saw_is_looked_for(store, before, status):
    if before is not None:
        await store.put(before)
    store.after = failing(1, OutcomeUnknown("the writer died", retry_after_s=0.01))
    assert await settled(store) == Verdict(status)
    assert store.writes == 1


async def test_a_write_that_was_lost_is_made_again(store):
    store.before = failing(1, OutcomeUnknown("the writer died", retry_after_s=0.01))
    assert await settled(store) == Verdict(Status.TAKEN)
    assert store.writes == 2


# --- the import around it ---


def file_of(folder: Path, count: int) -> Candidate:
    path = folder / "many.json"
    items = [{"modelType": "Submodel", "id": f"https://example.com/sm/{number}"} for number in range(count)]
    path.write_text(json.dumps({"submodels": items}))
    return Candidate(path)


def begin(nursery: trio.Nursery, store: ScriptedStore, found: Candidate) -> tuple[Importer, list[Row]]:
    rows: list[Row] = []
    importer = Importer(cast(Store, store), Policy(), rows.append)
    nursery.start_soon(importer.run, [found], lambda _: None)
    return importer, rows


async def test_a_full_store_ends_the_import_and_every_document_begun_is_in_the_report(store, tmp_path):
    async def full(number: int) -> None:
        if number > 200:
            raise StoreFull("no room")

    store.before = full
    async with trio.open_nursery() as nursery:
        importer, rows = begin(nursery, store, file_of(tmp_path, 2000))
    assert importer.stopped == "no room"
    assert len([row for row in rows if row.status is Status.TAKEN]) == 200 == await store.changed()
    refused = [row for row in rows if row.status is Status.REFUSED]
    assert {row.reason for row in refused} == {"no room"}
    assert 1 <= len(refused) <= importing.IN_FLIGHT
    assert store.writes == len(rows)


class Gate:
    """A script that holds every write until it is opened; `expected` are to come before that."""

    def __init__(self, expected: int) -> None:
        self.opened = trio.Event()
        self.most = 0
        self._expected = expected
        self._all_here = trio.Event()
        self._held = 0

    async def __call__(self, _: int) -> None:
        self._held += 1
        self.most = max(self.most, self._held)
        if self._held >= self._expected:
            self._all_here.set()
        try:
            await self.opened.wait()
        finally:
            self._held -= 1

    async def hold(self) -> None:
        """Return once the expected writes are held, after leaving more of them time to come."""
        with trio.fail_after(10):
            await self._all_here.wait()
        for _ in range(100):
            await trio.lowlevel.checkpoint()


async def test_many_writes_are_in_flight_at_once_but_not_any_number(store, tmp_path):
    store.before = gate = Gate(importing.IN_FLIGHT)
    async with trio.open_nursery() as nursery:
        importer, rows = begin(nursery, store, file_of(tmp_path, 1000))
        await gate.hold()
        gate.opened.set()
    assert importer.stopped is None
    assert len(rows) == 1000
    assert gate.most == importing.IN_FLIGHT


async def test_bytes_in_flight_are_bounded(store, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "MAX_IN_FLIGHT_BYTES", 300)
    store.before = gate = Gate(5)  # of 55 or 56 bytes each
    async with trio.open_nursery() as nursery:
        _, rows = begin(nursery, store, file_of(tmp_path, 50))
        await gate.hold()
        gate.opened.set()
    assert len(rows) == 50
    assert gate.most == 5


async def test_after_stop_nothing_is_begun_and_what_was_begun_is_settled(store, tmp_path):
    store.before = gate = Gate(importing.IN_FLIGHT)
    async with trio.open_nursery() as nursery:
        importer, rows = begin(nursery, store, file_of(tmp_path, 1000))
        await gate.hold()
        importer.stop("enough")
        gate.opened.set()
    assert importer.stopped == "enough"
    assert [row.status for row in rows] == [Status.TAKEN] * importing.IN_FLIGHT
    assert await store.changed() == len(rows)


async def test_a_write_that_is_cut_off_is_reported_as_unknown(store, tmp_path):
    store.before = gate = Gate(3)
    async with trio.open_nursery() as nursery:
        _, rows = begin(nursery, store, file_of(tmp_path, 3))
        await gate.hold()
        nursery.cancel_scope.cancel()
    assert {(row.status, row.reason) for row in rows} == {(Status.REFUSED, "cut off: it may be in the store or not")}
    assert len(rows) == 3
