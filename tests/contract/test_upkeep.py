"""What a store counts and forgets for its leader."""

import json
from dataclasses import replace

import pytest

from tests.support.fenced import fence
from tests.support.store_documents import document, submodel
from titan.store.codes import term
from titan.store.contract import Created, Deposed, Field, Idempotency, Kind, Store, Term, WriteMode
from titan.store.sync_records import SYNC_RECORDS_KEPT_S, Followed
from titan.store.tasks import Expiring

KEPT_S = 24 * 3600


def with_semantic_id(number: int, *semantic_ids: str):
    made = submodel(f"urn:{number}")
    return replace(made, terms=frozenset(Term(Field.SEMANTIC_ID, each) for each in semantic_ids))


async def test_what_there_is_is_counted(store):
    empty = await store.tasks.count(templates=2)
    assert (dict(empty.documents), empty.templates, empty.other_templates) == (dict.fromkeys(Kind, 0), [], 0)
    assert (empty.files, empty.file_bytes, empty.outbox_changes) == (0, 0, 0)
    for number in range(3):
        await store.write(document(f"urn:shell:{number}"), WriteMode.CREATE)
    for number, semantic_ids in enumerate(["ab", "ab", "b", "bc", "d", ""]):
        await store.write(with_semantic_id(number, *semantic_ids), WriteMode.CREATE)
    await store.delete(Kind.SHELL, "urn:shell:0")
    async with store.blobs.upload() as upload:
        await upload.write(bytes(1000))
        await upload.finish()
    counts = await store.tasks.count(templates=2)
    assert dict(counts.documents) == {Kind.SHELL: 2, Kind.SUBMODEL: 6, Kind.CONCEPT_DESCRIPTION: 0}
    digests = [term(Term(Field.SEMANTIC_ID, each))[1] for each in "ba"]
    assert [(each.digest, each.submodels) for each in counts.templates] == list(zip(digests, (4, 2), strict=True))
    assert [json.loads(each.sample or b"") for each in counts.templates] == [{"id": "urn:0"}, {"id": "urn:0"}]
    assert counts.other_templates == 2
    assert (counts.files, counts.file_bytes, counts.outbox_changes) == (1, 1000, 10)
    assert counts.store_bytes > empty.store_bytes


async def test_a_sample_that_is_large_is_left_out(store):
    large = replace(with_semantic_id(1, "x"), header=json.dumps({"id": "urn:1", "text": "x" * 100_000}).encode())
    await store.write(large, WriteMode.CREATE)
    [template] = (await store.tasks.count(templates=5)).templates
    assert (template.submodels, template.sample) == (1, None)


async def write(store: Store, number: int) -> object:
    key = Idempotency(b"%032d" % number, b"request")
    return await store.write(document(f"urn:{number}"), WriteMode.CREATE, idempotency=key)


async def test_idempotency_records_expire_a_day_after_they_came_and_not_before(store, backend):
    for number in range(3):
        await write(store, number)
    term = await fence(store)
    await backend.age_idempotency_records(KEPT_S - 60)
    assert await store.tasks.expire(Expiring.IDEMPOTENCY_KEY, fence=term) == 0
    await write(store, 3)
    await backend.age_idempotency_records(61)
    assert await store.tasks.expire(Expiring.IDEMPOTENCY_KEY, fence=term) == 3
    assert await store.tasks.expire(Expiring.IDEMPOTENCY_KEY, fence=term) == 0
    await store.delete(Kind.SHELL, "urn:0")
    assert isinstance(await write(store, 0), Created)


async def test_a_deposed_leader_forgets_nothing(store, backend):
    await write(store, 0)
    await backend.age_idempotency_records(KEPT_S + 1)
    old = await fence(store)
    new = await fence(store)
    with pytest.raises(Deposed):
        await store.tasks.expire(Expiring.IDEMPOTENCY_KEY, fence=old)
    assert await store.tasks.expire(Expiring.IDEMPOTENCY_KEY, fence=new) == 1


async def test_more_expire_than_one_transaction_takes(store, backend):
    await backend.add_old_idempotency_records(2500)
    assert await store.tasks.expire(Expiring.IDEMPOTENCY_KEY, fence=await fence(store)) == 2500
    assert await store.tasks.expire(Expiring.IDEMPOTENCY_KEY, fence=await fence(store)) == 0


async def pulled(store: Store, source: str, records: int = 0) -> None:
    """Begin a pull of a source and note so many of its documents."""
    term = await fence(store, "external-sync")
    await store.sync_records.begin(source, origin=b"o", scope=b"s", fence=term)
    followed = [Followed(Kind.SHELL, f"urn:{number}", is_copy=True) for number in range(records)]
    await store.sync_records.note(source, Kind.SHELL, followed, fence=term)


async def known(store: Store, source: str) -> int:
    return len(await store.sync_records.followed(source, Kind.SHELL, after=None, limit=5000))


async def test_records_of_a_source_that_is_pulled_no_more_expire_after_a_month(store, backend):
    await pulled(store, "removed", 2500)
    await pulled(store, "there", 10)
    await backend.age_sync_sources(SYNC_RECORDS_KEPT_S - 60)
    cleaner = await fence(store)
    assert await store.tasks.expire(Expiring.SYNC_RECORD, fence=cleaner) == 0
    await pulled(store, "there")
    await backend.age_sync_sources(61)
    assert await store.tasks.expire(Expiring.SYNC_RECORD, fence=cleaner) == 2501
    assert await store.tasks.expire(Expiring.SYNC_RECORD, fence=cleaner) == 0
    assert (await known(store, "removed"), await known(store, "there")) == (0, 10)
    await pulled(store, "removed", 3)  # it is back in the settings
    assert await known(store, "removed") == 3


async def test_a_source_of_before_it_was_noted_when_does_not_expire(store, backend):
    await pulled(store, "old", 1)
    await backend.forget_when_sync_sources_began()
    assert await store.tasks.expire(Expiring.SYNC_RECORD, fence=await fence(store)) == 0
    assert await known(store, "old") == 1
