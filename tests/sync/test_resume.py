"""A pull that was cut off goes on where it was, on whichever instance comes next; a deposed leader writes nothing."""

import json
from dataclasses import replace

import pytest
import trio

from tests.support.documents import submodel
from tests.support.fenced import fence
from tests.support.stand_in import Said
from tests.support.waiting import until
from tests.sync.conftest import POLICY, ROLE, ids, limited
from titan.store.contract import Deposed, Kind, StoreUnavailable
from titan.sync.filters import make_filter
from titan.sync.pull import pull
from titan.sync.report import Outcome
from titan.sync.source import Source

SUBMODELS = make_filter(kinds=[Kind.SUBMODEL])
NUMBER = 12


@pytest.fixture
def source(other):
    other.page_items = 3
    other.put("submodels", *[submodel(f"urn:{number:02}") for number in range(NUMBER)])
    return Source("other", other.url, filter=SUBMODELS)


def list_cursors(other) -> list[str | None]:
    """Return the cursors of the pages of documents that were asked for."""
    return [asked.query.get("cursor") for asked in other.asked if asked.path == "/submodels"]


async def cut_off(backend, source, after_pages: int) -> None:
    """Pull on an instance of its own that is stopped in the middle."""
    async with backend.open() as store:
        term = await fence(store, ROLE)
        pages = 0
        with trio.CancelScope() as scope:

            def progress(_report) -> None:
                nonlocal pages
                pages += 1
                if pages > after_pages * 3:  # announced, noted, place
                    scope.cancel()

            await pull(source, store, term, policy=POLICY, progress=progress)
        assert scope.cancelled_caught


async def test_the_next_instance_goes_on_at_the_page(backend, other, source):
    await cut_off(backend, source, 2)
    other.forget()
    async with backend.open() as store:
        before = len(await ids(store))
        assert 6 <= before < NUMBER
        report = await pull(source, store, await fence(store, ROLE), policy=POLICY)
        assert report.is_resumed
        assert report.failure is None
        assert list_cursors(other) == ["6", "9"]
        assert len(await ids(store)) == NUMBER
        report = await pull(source, store, await fence(store, ROLE), policy=POLICY)
        assert not report.is_resumed
        assert report.summary() == f"other: {NUMBER} unchanged"


async def test_what_goes_there_between_the_halves_goes_here(backend, other, source):
    """The second half has not seen the first one's pages, and asks before it deletes."""
    async with backend.open() as store:
        await pull(source, store, await fence(store, ROLE), policy=POLICY)
    await cut_off_unchanged(backend, other, source)
    del other.documents["submodels"]["urn:01"]
    async with backend.open() as store:
        report = await pull(source, store, await fence(store, ROLE), policy=POLICY)
        assert report.is_resumed
        assert report.count(Outcome.DELETED) == 1
        assert await ids(store) == [f"urn:{number:02}" for number in range(NUMBER) if number != 1]


async def cut_off_unchanged(backend, other, source) -> None:
    """Have the second page fail."""
    other.instead = lambda asked: Said(503) if asked.query.get("cursor") == "3" else None
    async with backend.open() as store:
        report = await pull(source, store, await fence(store, ROLE), policy=POLICY)
        assert report.failure == "the server answers 503"
    other.instead = lambda _: None


@pytest.mark.parametrize("point", range(1, 12))
async def test_cut_off_anywhere_what_a_pull_created_is_known_as_such(point, backend, other, source):
    """Whatever was written is a copy afterwards: gone there, it goes here, and nothing is left behind."""
    await cut_off_at(backend, source, point)
    async with backend.open() as store:
        report = await pull(source, store, await fence(store, ROLE), policy=POLICY)
        assert report.failure is None
        assert len(await ids(store)) == NUMBER
        other.documents["submodels"].clear()
        report = await pull(source, store, await fence(store, ROLE), policy=POLICY)
        assert report.summary() == f"other: {NUMBER} deleted"
        assert await ids(store) == []


async def cut_off_at(backend, source, point: int) -> None:
    """Stop at the call of the store that is the `point`th to change something."""
    async with backend.open() as store:
        term = await fence(store, ROLE)
        stopping = _Stopping(store, point)
        await pull(source, stopping, term, policy=POLICY)  # type: ignore[arg-type]
        assert stopping.left <= 0


class _Stopping:
    """A store, and its records, that serve no more after so many changes; the last one may have been made."""

    def __init__(self, store, left: int) -> None:
        self._store = store
        self.left = left
        self.sync_records = _Records(self, store.sync_records)

    async def get(self, *args, **members):
        return await self._store.get(*args, **members)

    async def write(self, *args, **members):
        outcome = await self._store.write(*args, **members)
        self.count()
        return outcome

    def count(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise StoreUnavailable("stopped by the test")


class _Records:
    def __init__(self, owner: _Stopping, records) -> None:
        self._owner = owner
        self._records = records

    def __getattr__(self, name: str):
        async def call(*args, **members):
            if name == "note" and self._owner.left <= 0:
                raise StoreUnavailable("stopped by the test")
            result = await getattr(self._records, name)(*args, **members)
            if name == "note":
                self._owner.count()
            return result

        return call


async def test_a_cursor_that_is_not_known_any_more_begins_the_list_anew(backend, other, source):
    await cut_off(backend, source, 2)
    seen: list[int] = []
    async with backend.open() as store:

        def once(asked):
            if asked.query.get("cursor") == "6" and not seen:
                seen.append(1)
                return Said(400)
            return None

        other.instead = once
        report = await pull(source, store, await fence(store, ROLE), policy=POLICY)
        assert report.failure is None
        assert len(await ids(store)) == NUMBER


async def test_a_page_that_fails_again_and_again_does_not_keep_the_first_ones_from_being_read(backend, other, source):
    other.instead = lambda asked: Said(500) if asked.query.get("cursor") == "6" else None
    async with backend.open() as store:
        resumed = []
        for number in range(4):
            other.put("submodels", submodel("urn:00", idShort=f"Version{number}"))
            report = await pull(source, store, await fence(store, ROLE), policy=POLICY)
            assert report.failure == "the server answers 500"
            resumed.append(report.is_resumed)
        assert resumed == [False, True, False, True]
        stored = await store.get(Kind.SUBMODEL, "urn:00")
        assert stored is not None
        assert json.loads(stored.body)["idShort"] == "Version2"


async def test_another_filter_begins_anew_and_another_server_knows_nothing_of_the_first(backend, other, source):
    await cut_off(backend, source, 2)
    async with backend.open() as store:
        wider = replace(source, filter=make_filter())
        report = await pull(wider, store, await fence(store, ROLE), policy=POLICY)
        assert not report.is_resumed
        assert len(await ids(store)) == NUMBER
        moved = replace(source, url=f"{other.url}/")  # another spelling is another server
        other.documents["submodels"].clear()
        report = await pull(moved, store, await fence(store, ROLE), policy=limited())
        assert report.count(Outcome.DELETED) == 0
        assert len(await ids(store)) == NUMBER


@pytest.mark.parametrize("has_copies", [False, True], ids=["creating", "replacing"])
async def test_a_deposed_leader_writes_nothing(has_copies, backend, other, source):
    async with backend.open() as store:
        term = await fence(store, ROLE)
        if has_copies:
            await pull(source, store, term, policy=POLICY)
            other.put("submodels", *[submodel(f"urn:{number:02}", idShort="New") for number in range(NUMBER)])
        cursor = await store.cursor()
        await fence(store, ROLE)
        with pytest.raises(Deposed):
            await pull(source, store, term, policy=POLICY)
        assert (await store.changes(after=cursor)).items == ()


async def test_a_leader_that_is_deposed_in_the_middle_ends_there(backend, other, source):
    async with backend.open() as store:
        term = await fence(store, ROLE)
        go_on = trio.Event()

        async def pull_it() -> None:
            with pytest.raises(Deposed):
                await pull(source, store, term, policy=POLICY)

        def wait(requested):
            if requested.query.get("cursor") == "6":
                trio.from_thread.run(go_on.wait, trio_token=token)

        token = trio.lowlevel.current_trio_token()
        other.instead = wait
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pull_it)
            await until(lambda: "6" in list_cursors(other), what="the third page")
            await fence(store, ROLE)
            go_on.set()
        assert len(await ids(store)) == 6
