"""A leader's write is refused, whole, once a newer term of its role has begun."""

import pytest
import trio

from tests.support.fenced import ROLE
from tests.support.store_documents import document
from titan.store.contract import Change, Changes, Created, Deleted, Deposed, Fence, Kind, Replaced, Store, WriteMode

NEVER_MS = 1 << 50


async def uploaded(store: Store) -> str:
    async with store.blobs.upload() as upload:
        await upload.write(b"content")
        return await upload.finish()


async def told(store: Store) -> tuple[Change, ...]:
    changes = await store.changes()
    assert isinstance(changes, Changes)
    return changes.items


async def put(store: Store, fence: Fence) -> object:
    return await store.write(document("a", text="new"), WriteMode.PUT, fence=fence)


async def create(store: Store, fence: Fence) -> object:
    return await store.write(document("b"), WriteMode.CREATE, fence=fence)


async def delete(store: Store, fence: Fence) -> object:
    return await store.delete(Kind.SHELL, "a", fence=fence)


async def trim(store: Store, fence: Fence) -> object:
    return await store.trim_changes(before_ms=NEVER_MS, fence=fence)


async def sweep(store: Store, fence: Fence) -> object:
    return await store.blobs.sweep(before_ms=NEVER_MS, fence=fence)


EFFECTS = [put, create, delete, trim, sweep]


@pytest.mark.parametrize("effect", EFFECTS)
async def test_an_effect_of_a_term_that_is_over_changes_nothing(store, effect):
    await store.write(document("a"), WriteMode.CREATE)
    key = await uploaded(store)
    old = Fence(ROLE, await store.begin_term(ROLE, "one"))
    assert await store.begin_term(ROLE, "two") == old.epoch + 1
    before = await store.get(Kind.SHELL, "a"), await told(store)
    with pytest.raises(Deposed, match=f"{ROLE}: term 1 is over, term 2 has begun") as refused:
        await effect(store, old)
    assert (refused.value.fence, refused.value.current) == (old, 2)
    assert (await store.get(Kind.SHELL, "a"), await told(store)) == before
    assert await store.get(Kind.SHELL, "b") is None
    assert await store.blobs.look(key) is not None


@pytest.mark.parametrize("effect", EFFECTS)
async def test_an_effect_of_the_newest_term_is_carried_out(store, effect):
    await store.write(document("a"), WriteMode.CREATE)
    await uploaded(store)
    await store.begin_term(ROLE, "one")
    fence = Fence(ROLE, await store.begin_term(ROLE, "two"))
    done = await effect(store, fence)
    assert done == 1 or isinstance(done, Created | Replaced | Deleted)


@pytest.mark.parametrize("effect", EFFECTS)
async def test_an_effect_of_a_term_that_never_began_is_refused(store, effect):
    with pytest.raises(Deposed) as refused:
        await effect(store, Fence(ROLE, 1))
    assert refused.value.current == 0


async def test_the_term_of_one_role_says_nothing_of_another(store):
    fence = Fence("external-sync", await store.begin_term("external-sync", "one"))
    for number in range(3):
        assert await store.begin_term(ROLE, "two") == number + 1
    assert isinstance(await create(store, fence), Created)
    assert [(term.role, term.epoch, term.holder) for term in await store.terms()] == [
        (ROLE, 3, "two"),
        ("external-sync", 1, "one"),
    ]


async def test_there_are_no_terms_before_one_began(store):
    assert list(await store.terms()) == []


async def test_no_two_terms_have_one_number(backend):
    """Many candidates on several instances, all at once."""
    numbers: list[int] = []

    async with backend.open() as one, backend.open() as two, trio.open_nursery() as nursery:

        async def begin(store):
            numbers.append(await store.begin_term(ROLE, "x"))

        for store in (one, two) * 10:
            nursery.start_soon(begin, store)
    assert sorted(numbers) == list(range(1, 21))


async def test_what_is_there_after_a_take_over_in_full_flight_is_of_the_newer_term(backend):
    async with backend.open() as one, backend.open() as two:
        await one.write(document("a"), WriteMode.CREATE)
        old = Fence(ROLE, await one.begin_term(ROLE, "one"))

        async def write_on() -> None:
            while True:
                await one.write(document("a", text="old"), WriteMode.REPLACE, fence=old)

        async def write_until_deposed() -> None:
            with pytest.raises(Deposed):
                await write_on()

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write_until_deposed)
                await trio.sleep(0.05)
                new = Fence(ROLE, await two.begin_term(ROLE, "two"))
                await two.write(document("a", text="new"), WriteMode.REPLACE, fence=new)
        stored = await one.get(Kind.SHELL, "a")
        assert stored is not None
        assert stored.body == document("a", text="new").header


async def test_a_refused_effect_leaves_no_trace_for_a_retry(store):
    """The key of a refused write is free: the next leader's same request is carried out."""
    old = Fence(ROLE, await store.begin_term(ROLE, "one"))
    fence = Fence(ROLE, await store.begin_term(ROLE, "two"))
    with pytest.raises(Deposed):
        await create(store, old)
    assert isinstance(await create(store, fence), Created)
    assert len(await told(store)) == 1
