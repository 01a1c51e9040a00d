"""Marks say how new a read was; a need asks for one as new. A store may give something newer, nothing older."""

import pytest

from tests.support.store_documents import document
from titan.store.contract import (
    NEWEST,
    RECENT,
    Created,
    Deleted,
    IfMatch,
    Kind,
    Need,
    PreconditionFailed,
    Replaced,
    WriteMode,
)

ONE = "urn:test:one"


async def test_a_read_is_at_least_as_new_as_the_write_before_it(store):
    wrote = await store.write(document(ONE), WriteMode.CREATE)
    found = await store.find(Kind.SHELL, ONE)
    assert isinstance(wrote, Created)
    assert found.stored is not None
    assert found.stored.revision == wrote.revision
    assert found.mark >= wrote.mark
    assert found.stored.mark == found.mark


async def test_marks_of_a_document_grow_with_its_revisions(store):
    created = await store.write(document(ONE), WriteMode.CREATE)
    replaced = await store.write(document(ONE), WriteMode.REPLACE)
    deleted = await store.delete(Kind.SHELL, ONE)
    assert isinstance(created, Created)
    assert isinstance(replaced, Replaced)
    assert isinstance(deleted, Deleted)
    assert created.mark <= replaced.mark <= deleted.mark


async def test_absence_has_a_mark_that_covers_the_deletion(store):
    await store.write(document(ONE), WriteMode.CREATE)
    deleted = await store.delete(Kind.SHELL, ONE)
    absent = await store.find(Kind.SHELL, ONE)
    assert absent.stored is None
    assert absent.mark >= deleted.mark


async def test_a_refusal_has_a_mark_that_covers_what_it_saw(store):
    wrote = await store.write(document(ONE), WriteMode.CREATE)
    refused = await store.write(document(ONE), WriteMode.REPLACE, precondition=IfMatch((10**9,)))
    assert isinstance(refused, PreconditionFailed)
    assert refused.mark >= wrote.mark


async def test_a_page_has_a_mark_that_covers_what_is_on_it_empty_or_not(store):
    assert (await store.page(Kind.SHELL)).items == ()
    wrote = await store.write(document(ONE), WriteMode.CREATE)
    assert (await store.page(Kind.SHELL)).mark >= wrote.mark
    deleted = await store.delete(Kind.SHELL, ONE)
    assert (await store.page(Kind.SHELL)).mark >= deleted.mark


@pytest.mark.parametrize("need", [NEWEST, RECENT, Need(is_newest=False, mark=1)])
async def test_whatever_is_needed_is_met(store, need):
    wrote = await store.write(document(ONE), WriteMode.CREATE)
    need = Need(need.is_newest, max(need.mark, wrote.mark))
    found = await store.find(Kind.SHELL, ONE, need=need)
    assert found.stored is not None
    assert len((await store.page(Kind.SHELL, need=need)).items) == 1


async def test_the_newest_changes_and_the_cursor_behind_them(store):
    for number in range(5):
        await store.write(document(f"urn:test:{number}"), WriteMode.CREATE)
    latest = await store.latest(3)
    assert {item.id for item in latest.items} == {"urn:test:2", "urn:test:3", "urn:test:4"}
    assert (await store.changes(after=latest.cursor)).items == ()
    wrote = await store.write(document("urn:test:5"), WriteMode.CREATE)
    told = await store.changes(after=latest.cursor)
    assert [item.id for item in told.items] == ["urn:test:5"]
    assert told.items[0].mark == (wrote.mark or wrote.revision)
    assert told.shows >= wrote.mark
    assert told.is_last


async def test_a_part_of_the_changes_does_not_show_the_rest(store):
    start = (await store.latest(0)).cursor
    for number in range(5):
        await store.write(document(f"urn:test:{number}"), WriteMode.CREATE)
    some = await store.changes(after=start, limit=2)
    assert len(some.items) == 2
    assert not some.is_last
    rest = await store.changes(after=some.cursor, limit=10)
    assert rest.is_last
    assert rest.shows >= rest.items[-1].mark
