"""What is known of other servers' documents is kept as it was noted, by source and kind, under a leader's fence."""

from dataclasses import replace

import pytest

from tests.support.fenced import fence
from titan.store.contract import MAX_ID_CHARACTERS, Deposed, Fence, Kind, Store
from titan.store.sync_records import Followed, Place

ORIGIN, SCOPE = b"origin", b"scope"
IDS = ("a", "b", "urn:example:\u00c4", "\U0001f600" * MAX_ID_CHARACTERS, "x'; DROP TABLE sync_source; --")


def record(document_id: str = "a", kind: Kind = Kind.SUBMODEL, **members) -> Followed:
    return Followed(kind, document_id, **members)


FULL = record(etag='W/"1"', digest=b"d" * 32, gave_way=b"g" * 32, revision=1 << 40, is_copy=True)


@pytest.fixture
async def term(store: Store) -> Fence:
    return await fence(store, "external-sync")


async def begin(store: Store, term: Fence, source: str = "s", *, origin: bytes = ORIGIN, scope: bytes = SCOPE):
    return await store.sync_records.begin(source, origin=origin, scope=scope, fence=term)


async def everything(store: Store, source: str = "s", kind: Kind = Kind.SUBMODEL, limit: int = 2) -> list[Followed]:
    found: list[Followed] = []
    while some := await store.sync_records.followed(source, kind, after=found[-1].id if found else None, limit=limit):
        found += some
    return found


@pytest.mark.parametrize("kept", [record(), FULL], ids=["bare", "full"])
async def test_a_record_comes_back_as_it_was_noted(store, term, kept):
    await begin(store, term)
    await store.sync_records.note("s", Kind.SUBMODEL, [kept], fence=term)
    assert await store.sync_records.look("s", Kind.SUBMODEL, ["other", "a"]) == [kept]


async def test_a_record_is_replaced_whole(store, term):
    await begin(store, term)
    await store.sync_records.note("s", Kind.SUBMODEL, [FULL], fence=term)
    await store.sync_records.note("s", Kind.SUBMODEL, [record()], fence=term)
    assert await everything(store) == [record()]


async def test_every_record_is_told_once_whatever_its_id(store, term):
    await begin(store, term)
    await store.sync_records.note("s", Kind.SUBMODEL, [record(each) for each in IDS], fence=term)
    found = await everything(store)
    assert sorted(each.id for each in found) == sorted(IDS)
    await store.sync_records.note("s", Kind.SUBMODEL, [], forget=IDS[1:], fence=term)
    assert [each.id for each in await everything(store)] == ["a"]


async def test_sources_and_kinds_are_apart(store, term):
    for source in ("s", "t"):
        await begin(store, term, source)
        for kind in Kind:
            await store.sync_records.note(source, kind, [record(kind=kind, etag=source)], fence=term)
    assert await store.sync_records.look("t", Kind.SHELL, ["a"]) == [record(kind=Kind.SHELL, etag="t")]
    await store.sync_records.note("t", Kind.SHELL, [], forget=["a"], fence=term)
    assert await everything(store, "t", Kind.SHELL) == []
    assert len(await everything(store, "s", Kind.SHELL)) == 1
    assert len(await everything(store, "t", Kind.SUBMODEL)) == 1


async def test_the_place_lasts_until_the_pull_is_finished(store, term):
    assert await begin(store, term) is None
    for place in (Place(Kind.SHELL, "documents", "cursor"), Place(Kind.SUBMODEL, "references", None, is_listed=True)):
        await store.sync_records.note("s", Kind.SHELL, [], place=place, fence=term)
        assert await begin(store, term) == place
    await store.sync_records.note("s", Kind.SUBMODEL, [FULL], fence=term)
    assert await begin(store, term) == place
    await store.sync_records.finish("s", fence=term)
    assert await begin(store, term) is None
    assert await everything(store) == [FULL]


async def test_another_filter_forgets_the_place_alone(store, term):
    await begin(store, term)
    await store.sync_records.note("s", Kind.SUBMODEL, [FULL], place=Place(Kind.SHELL, "documents"), fence=term)
    assert await begin(store, term, scope=b"other") is None
    assert await begin(store, term, scope=b"other") is None
    assert await everything(store) == [FULL]


async def test_another_server_under_the_name_forgets_its_records(store, term):
    for source in ("s", "t"):
        await begin(store, term, source)
        await store.sync_records.note(source, Kind.SUBMODEL, [FULL], place=Place(Kind.SHELL, "documents"), fence=term)
    assert await begin(store, term, origin=b"other") is None
    assert await everything(store) == []
    assert await everything(store, "t") == [FULL]


async def test_a_deposed_leader_notes_nothing(store, term):
    await begin(store, term)
    place = Place(Kind.SHELL, "documents", "cursor")
    await store.sync_records.note("s", Kind.SUBMODEL, [FULL], place=place, fence=term)
    await fence(store, "external-sync")
    with pytest.raises(Deposed):
        await begin(store, term, origin=b"other")
    with pytest.raises(Deposed):
        await store.sync_records.note("s", Kind.SUBMODEL, [replace(FULL, etag=None)], forget=["a"], fence=term)
    with pytest.raises(Deposed):
        await store.sync_records.finish("s", fence=term)
    newer = Fence("external-sync", term.epoch + 1)
    assert await everything(store) == [FULL]
    assert await begin(store, newer) == place


async def test_what_was_noted_is_there_for_the_next_instance(backend):
    async with backend.open() as store:
        term = await fence(store, "external-sync")
        await begin(store, term)
        await store.sync_records.note("s", Kind.SUBMODEL, [FULL], fence=term)
    async with backend.open() as store:
        assert await everything(store) == [FULL]
