"""Keyset pages in the order of creation, by terms, and while others write."""

from collections.abc import Sequence

import pytest
import trio

from tests.support.store_documents import document
from titan.store.contract import Field, Kind, Store, Term, WriteMode


async def all_ids(store: Store, kind: Kind = Kind.SHELL, *, terms: Sequence[Term] = (), limit: int = 3) -> list[str]:
    """Page from the start to the end."""
    found: list[str] = []
    after: int | None = 0
    while after is not None:
        page = await store.page(kind, terms=terms, after=after, limit=limit)
        assert len(page.items) <= limit
        found += [item.id for item in page.items]
        after = page.next_after
    return found


async def create(store: Store, *ids: str, **options) -> None:
    for document_id in ids:
        await store.write(document(document_id, **options), WriteMode.CREATE)


async def test_an_empty_list_is_one_empty_page(store):
    page = await store.page(Kind.SHELL)
    assert (page.items, page.next_after) == ((), None)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 1000])
async def test_pages_go_through_all_in_the_order_of_creation(store, limit):
    await create(store, "e", "a", "d", "b", "c")
    assert await all_ids(store, limit=limit) == ["e", "a", "d", "b", "c"]


async def test_the_last_page_says_that_it_is(store):
    await create(store, "a", "b")
    assert (await store.page(Kind.SHELL, limit=2)).next_after is None
    assert (await store.page(Kind.SHELL, limit=1)).next_after is not None


async def test_kinds_have_lists_of_their_own(store):
    for kind in Kind:
        await create(store, f"{kind}-1", f"{kind}-2", kind=kind)
    for kind in Kind:
        assert await all_ids(store, kind) == [f"{kind}-1", f"{kind}-2"]


async def test_replacing_does_not_move_a_document_and_creating_anew_puts_it_last(store):
    await create(store, "a", "b", "c")
    await store.write(document("a", text="new"), WriteMode.PUT)
    assert await all_ids(store) == ["a", "b", "c"]
    await store.delete(Kind.SHELL, "a")
    await create(store, "a")
    assert await all_ids(store) == ["b", "c", "a"]


async def test_a_page_goes_on_where_the_document_at_its_start_was_deleted(store):
    await create(store, "a", "b", "c", "d")
    first = await store.page(Kind.SHELL, limit=2)
    await store.delete(Kind.SHELL, "b")
    await store.delete(Kind.SHELL, "c")
    rest = await store.page(Kind.SHELL, after=first.next_after, limit=2)
    assert [item.id for item in rest.items] == ["d"]


@pytest.mark.parametrize("after", [10**6, 2**62, 2**63 - 1, 2**63, 10**30])
async def test_behind_the_end_there_is_nothing(store, after):
    await create(store, "a")
    page = await store.page(Kind.SHELL, after=after)
    assert (page.items, page.next_after) == ((), None)


RED, GREEN = (Field.ID_SHORT, "red"), (Field.ID_SHORT, "green")
BIG = (Field.SEMANTIC_ID, "big")


async def test_a_page_by_terms_has_what_carries_all_of_them(store):
    await create(store, "1", terms=(RED,))
    await create(store, "2", terms=(RED, BIG))
    await create(store, "3", terms=(GREEN, BIG))
    await create(store, "4", terms=(RED, BIG))
    await create(store, "s", kind=Kind.SUBMODEL, terms=(RED, BIG))
    assert await all_ids(store, terms=[Term(*RED)], limit=1) == ["1", "2", "4"]
    assert await all_ids(store, terms=[Term(*BIG)], limit=2) == ["2", "3", "4"]
    assert await all_ids(store, terms=[Term(*BIG), Term(*RED)], limit=1) == ["2", "4"]
    assert await all_ids(store, terms=[Term(*BIG), Term(*RED), Term(*RED)], limit=1) == ["2", "4"]
    assert await all_ids(store, terms=[Term(*RED), Term(*GREEN)]) == []
    assert await all_ids(store, terms=[Term(Field.ID_SHORT, "blue")]) == []


async def test_the_same_value_in_another_field_is_another_term(store):
    await create(store, "1", terms=((Field.ID_SHORT, "x"),))
    assert await all_ids(store, terms=[Term(Field.SEMANTIC_ID, "x")]) == []


async def test_a_document_is_found_by_its_newest_terms_only(store):
    await create(store, "1", terms=(RED, BIG))
    await store.write(document("1", terms=(GREEN, BIG)), WriteMode.PUT)
    assert await all_ids(store, terms=[Term(*RED)]) == []
    assert await all_ids(store, terms=[Term(*GREEN)]) == ["1"]
    assert await all_ids(store, terms=[Term(*BIG)]) == ["1"]
    await store.delete(Kind.SHELL, "1")
    assert await all_ids(store, terms=[Term(*GREEN)]) == []


async def test_terms_have_values_of_any_length_and_characters(store):
    values = ["", " ", "x" * 100_000, "x" * 100_000 + "y", "\0", "\U0001f600", "é", "e\u0301"]
    for number, value in enumerate(values):
        await create(store, str(number), terms=((Field.ASSET_ID, value),))
    for number, value in enumerate(values):
        assert await all_ids(store, terms=[Term(Field.ASSET_ID, value)]) == [str(number)]


async def test_a_document_with_a_thousand_terms(store):
    await create(store, "1", terms=tuple((Field.ASSET_ID, str(n)) for n in range(1000)))
    assert await all_ids(store, terms=[Term(Field.ASSET_ID, "0"), Term(Field.ASSET_ID, "999")]) == ["1"]


async def test_a_page_is_ended_early_when_it_gets_large_and_the_next_goes_on(store):
    text = "x" * 3_000_000
    await create(store, *"abcdefgh", text=text)
    page = await store.page(Kind.SHELL, limit=1000)
    assert 0 < len(page.items) < 8
    assert page.next_after is not None
    assert await all_ids(store, limit=1000) == list("abcdefgh")


async def test_paging_while_others_write_finds_what_was_there_all_the_time_exactly_once(store):
    kept = [f"kept-{number}" for number in range(40)]
    for number, document_id in enumerate(kept):
        await create(store, document_id, f"gone-{number}")
    rounds = 0
    async with trio.open_nursery() as nursery:

        async def disturb(worker: int) -> None:
            number = worker
            while True:
                number += 4
                await store.delete(Kind.SHELL, f"gone-{number % 40}")
                await store.write(document(f"new-{worker}-{number % 40}"), WriteMode.PUT)
                await store.write(document(kept[number % 40], text=str(number)), WriteMode.PUT)
                await store.delete(Kind.SHELL, f"new-{worker}-{(number - 20) % 40}")

        for worker in range(4):
            nursery.start_soon(disturb, worker)
        while rounds < 15:
            found = await all_ids(store, limit=7)
            assert [one for one in found if one.startswith("kept-")] == kept
            assert len(set(found)) == len(found)
            rounds += 1
        nursery.cancel_scope.cancel()


async def test_export_gives_all_documents_in_order(store):
    ids = [str(number) for number in range(250)]
    await create(store, *ids)
    assert [item.id async for item in store.export(Kind.SHELL)] == ids
    assert [item async for item in store.export(Kind.SUBMODEL)] == []
