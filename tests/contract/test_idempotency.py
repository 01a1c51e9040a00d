"""A retried request is carried out once and gets the first outcome."""

import json

import pytest

from tests.support.store_documents import document
from titan.store.contract import (
    IDEMPOTENCY_KEPT_S,
    AlreadyExists,
    Created,
    Idempotency,
    IdempotencyMismatch,
    IfMatch,
    IfNoneMatch,
    Kind,
    NotFound,
    PreconditionFailed,
    Replaced,
    Replayed,
    WriteMode,
)

KEY = Idempotency(b"scope", b"request")


async def test_a_retry_gets_the_first_outcome_and_writes_nothing(store):
    first = await store.write(document(text="a"), WriteMode.CREATE, idempotency=KEY)
    assert isinstance(first, Created)
    assert await store.write(document(text="a"), WriteMode.CREATE, idempotency=KEY) == Replayed(first)
    assert (await store.get(Kind.SHELL, "urn:test:one")).revision == first.revision


async def test_a_replacement_is_replayed_as_one(store):
    await store.write(document(), WriteMode.CREATE)
    first = await store.write(document(text="b"), WriteMode.PUT, idempotency=KEY)
    assert isinstance(first, Replaced)
    assert await store.write(document(text="b"), WriteMode.PUT, idempotency=KEY) == Replayed(first)


async def test_a_retry_undoes_nothing_that_was_done_since(store):
    first = await store.write(document(text="a"), WriteMode.PUT, idempotency=KEY)
    await store.write(document(text="since"), WriteMode.PUT)
    assert await store.write(document(text="a"), WriteMode.PUT, idempotency=KEY) == Replayed(first)
    assert json.loads((await store.get(Kind.SHELL, "urn:test:one")).body)["text"] == "since"
    await store.delete(Kind.SHELL, "urn:test:one")
    assert await store.write(document(text="a"), WriteMode.PUT, idempotency=KEY) == Replayed(first)
    assert await store.get(Kind.SHELL, "urn:test:one") is None


async def test_a_retry_is_recognised_before_its_precondition_is_judged(store):
    only_new = IfNoneMatch(())
    first = await store.write(document(), WriteMode.PUT, precondition=only_new, idempotency=KEY)
    assert isinstance(first, Created)
    assert await store.write(document(), WriteMode.PUT, precondition=only_new, idempotency=KEY) == Replayed(first)
    only_that = IfMatch((first.revision,))
    other = Idempotency(b"other", b"request")
    second = await store.write(document(), WriteMode.PUT, precondition=only_that, idempotency=other)
    assert isinstance(second, Replaced)
    assert await store.write(document(), WriteMode.PUT, precondition=only_that, idempotency=other) == Replayed(second)


async def test_another_request_under_the_same_key_is_refused(store):
    await store.write(document("a"), WriteMode.CREATE, idempotency=KEY)
    other = Idempotency(KEY.scope, b"another request")
    assert await store.write(document("b"), WriteMode.CREATE, idempotency=other) == IdempotencyMismatch()
    assert await store.get(Kind.SHELL, "b") is None


async def test_keys_of_another_scope_are_other_keys(store):
    await store.write(document("a"), WriteMode.CREATE, idempotency=KEY)
    elsewhere = Idempotency(b"other scope", KEY.request)
    assert isinstance(await store.write(document("b"), WriteMode.CREATE, idempotency=elsewhere), Created)


async def test_a_refused_request_leaves_no_record(store):
    created = await store.write(document("a"), WriteMode.CREATE)
    assert await store.write(document("a"), WriteMode.CREATE, idempotency=KEY) == AlreadyExists(created.revision)
    assert await store.write(document("b"), WriteMode.REPLACE, idempotency=KEY) == NotFound()
    refused = await store.write(document("a"), WriteMode.PUT, precondition=IfMatch((0,)), idempotency=KEY)
    assert refused == PreconditionFailed(created.revision)
    await store.delete(Kind.SHELL, "a")
    assert isinstance(await store.write(document("a"), WriteMode.CREATE, idempotency=KEY), Created)


@pytest.mark.parametrize(("age_s", "is_replayed"), [(IDEMPOTENCY_KEPT_S - 60, True), (IDEMPOTENCY_KEPT_S + 60, False)])
async def test_a_record_answers_for_24_hours(store, backend, age_s, is_replayed):
    first = await store.write(document(text="a"), WriteMode.PUT, idempotency=KEY)
    await backend.age_idempotency_records(age_s)
    again = await store.write(document(text="a"), WriteMode.PUT, idempotency=KEY)
    assert (again == Replayed(first)) == is_replayed
    assert isinstance(again, Replayed if is_replayed else Replaced)


async def test_an_expired_record_is_replaced_by_the_new_request(store, backend):
    await store.write(document("a"), WriteMode.PUT, idempotency=KEY)
    await backend.age_idempotency_records(IDEMPOTENCY_KEPT_S + 60)
    other = Idempotency(KEY.scope, b"another request")
    first = await store.write(document("b"), WriteMode.PUT, idempotency=other)
    assert isinstance(first, Created)
    assert await store.write(document("b"), WriteMode.PUT, idempotency=other) == Replayed(first)
    assert await store.write(document("a"), WriteMode.PUT, idempotency=KEY) == IdempotencyMismatch()


async def test_a_record_is_seen_by_every_instance(store, backend):
    first = await store.write(document(), WriteMode.CREATE, idempotency=KEY)
    async with backend.open() as other:
        assert await other.write(document(), WriteMode.CREATE, idempotency=KEY) == Replayed(first)
