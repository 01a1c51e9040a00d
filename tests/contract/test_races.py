"""Many tasks on one document, on one instance and on two: each promise holds for each of them."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from tests.support.store_documents import document, submodel
from titan.store.contract import (
    AlreadyExists,
    Created,
    Deleted,
    Idempotency,
    IdempotencyRunning,
    IfMatch,
    IfNoneMatch,
    Kind,
    NotFound,
    PreconditionFailed,
    Replaced,
    Replayed,
    Store,
    WriteMode,
)

RACERS = 40


@pytest.fixture(params=["one instance", "two instances"])
async def instances(request, store, backend):
    """The stores that the racers use in turn."""
    if request.param == "one instance":
        yield [store]
    else:
        async with backend.open() as other:
            yield [store, other]


async def race(instances: list[Store], act: Callable[[Store, int], Awaitable[Any]]) -> list[Any]:
    """Let `RACERS` tasks call `act(store, number)` at once; return the outcomes in the order of the tasks."""
    outcomes: list[Any] = [None] * RACERS

    async def run(number: int) -> None:
        outcomes[number] = await act(instances[number % len(instances)], number)

    async with trio.open_nursery() as nursery:
        for number in range(RACERS):
            nursery.start_soon(run, number)
    return outcomes


def kinds(outcomes: list[Any]) -> Counter[type]:
    return Counter(type(outcome) for outcome in outcomes)


async def test_of_many_creators_one_creates(store, instances):
    outcomes = await race(instances, lambda one, n: one.write(document("x", text=str(n)), WriteMode.CREATE))
    assert kinds(outcomes) == {Created: 1, AlreadyExists: RACERS - 1}
    winner = next(n for n, outcome in enumerate(outcomes) if isinstance(outcome, Created))
    assert json.loads((await store.get(Kind.SHELL, "x")).body)["text"] == str(winner)
    assert {outcome.revision for outcome in outcomes} == {outcomes[winner].revision}


@pytest.mark.parametrize("rounds", range(3))
async def test_of_many_with_one_if_match_one_wins(store, instances, rounds):
    revision = (await store.write(document("x"), WriteMode.CREATE)).revision
    precondition = IfMatch((revision,))
    outcomes = await race(
        instances, lambda one, n: one.write(document("x", text=str(n)), WriteMode.PUT, precondition=precondition)
    )
    assert kinds(outcomes) == {Replaced: 1, PreconditionFailed: RACERS - 1}
    winner = next(n for n, outcome in enumerate(outcomes) if isinstance(outcome, Replaced))
    assert json.loads((await store.get(Kind.SHELL, "x")).body)["text"] == str(winner)


async def test_of_many_that_want_it_absent_one_creates(instances):
    outcomes = await race(
        instances, lambda one, n: one.write(document("x"), WriteMode.PUT, precondition=IfNoneMatch(()))
    )
    assert kinds(outcomes) == {Created: 1, PreconditionFailed: RACERS - 1}


async def test_of_many_deleters_one_deletes(store, instances):
    await store.write(document("x"), WriteMode.CREATE)
    outcomes = await race(instances, lambda one, n: one.delete(Kind.SHELL, "x"))
    assert kinds(outcomes) == {Deleted: 1, NotFound: RACERS - 1}


async def test_a_counter_kept_by_if_match_loses_no_step(store, instances):
    await store.write(document("x", text="0"), WriteMode.CREATE)

    async def increment(one, _n):
        while True:
            stored = await one.get(Kind.SHELL, "x")
            text = str(int(json.loads(stored.body)["text"]) + 1)
            precondition = IfMatch((stored.revision,))
            outcome = await one.write(document("x", text=text), WriteMode.REPLACE, precondition=precondition)
            if isinstance(outcome, Replaced):
                return outcome

    outcomes = await race(instances, increment)
    assert json.loads((await store.get(Kind.SHELL, "x")).body)["text"] == str(RACERS)
    assert len({outcome.revision for outcome in outcomes}) == RACERS


async def test_of_many_retries_at_once_one_is_carried_out(store, instances):
    key = Idempotency(b"scope", b"request")
    outcomes = await race(instances, lambda one, n: one.write(document("x"), WriteMode.PUT, idempotency=key))
    counted = kinds(outcomes)
    assert counted[Created] == 1
    assert counted[Created] + counted[Replayed] + counted[IdempotencyRunning] == RACERS
    (first,) = [outcome for outcome in outcomes if isinstance(outcome, Created)]
    assert {outcome.first for outcome in outcomes if isinstance(outcome, Replayed)} <= {first}
    assert len((await store.changes()).items) == 1


async def test_readers_never_see_half_a_document(store, instances):
    """Each version has a header and as many elements of one value as the value says; terms and revision go along."""

    def version(n: int):
        return submodel("x", *[(f"e{i}", str(n)) for i in range(n)])

    await store.write(version(1), WriteMode.CREATE)
    is_over = False

    async def read(one):
        seen = set()
        while not is_over:
            stored = await one.get(Kind.SUBMODEL, "x")
            values = [element["value"] for element in json.loads(stored.body)["submodelElements"]]
            assert len(set(values)) == 1
            assert values[0] == str(len(values))
            (listed,) = (await one.page(Kind.SUBMODEL)).items
            values = [element["value"] for element in json.loads(listed.body)["submodelElements"]]
            assert values[0] == str(len(values))
            assert listed.revision >= stored.revision
            seen.add(len(values))
        assert len(seen) > 1

    async with trio.open_nursery() as nursery:
        for one in instances:
            nursery.start_soon(read, one)
        for number in range(60):
            await instances[number % len(instances)].write(version(number % 13 + 1), WriteMode.PUT)
        is_over = True


async def test_what_one_instance_acknowledged_every_instance_reads(store, backend):
    async with backend.open() as other:
        for number in range(30):
            writer, reader = (store, other) if number % 2 else (other, store)
            outcome = await writer.write(document("x", text=str(number)), WriteMode.PUT)
            stored = await reader.get(Kind.SHELL, "x")
            assert (stored.revision, json.loads(stored.body)["text"]) == (outcome.revision, str(number))


async def test_a_cancelled_writer_takes_no_other_write_with_it(store):
    """Half of the writers give up at random moments; the others all succeed, and nothing is half there."""
    outcomes = {}

    async def write(number: int) -> None:
        with trio.move_on_after((number % 7) * 0.0005 if number % 2 else 60):
            outcomes[number] = await store.write(submodel(f"x{number}", ("a", "1"), ("b", "2")), WriteMode.CREATE)

    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(write, number)
    assert all(isinstance(outcomes[number], Created) for number in range(0, 200, 2))
    for number in range(200):
        stored = await store.get(Kind.SUBMODEL, f"x{number}")
        assert stored is not None or number not in outcomes
        assert stored is None or len(json.loads(stored.body)["submodelElements"]) == 2
    told = {item.id for item in (await store.changes()).items}
    listed = {item.id async for item in store.export(Kind.SUBMODEL)}
    assert told == listed


async def test_a_cancelled_reader_disturbs_no_other(store):
    for number in range(50):
        await store.write(document(str(number), text="x" * 10_000), WriteMode.CREATE)

    async def read(number: int) -> None:
        with trio.move_on_after((number % 5) * 0.001):
            await store.page(Kind.SHELL, limit=50)

    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(read, number)
    assert len((await store.page(Kind.SHELL, limit=50)).items) == 50
