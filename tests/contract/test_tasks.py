"""What the store keeps for leaders' tasks: one run a period, whoever leads, and nothing of a deposed leader's.

The stand-in that tests of the actors use (`tests.support.memory_tasks`) keeps the same promise.
"""

import pytest
import trio

from tests.contract.conftest import BACKENDS, made
from tests.support.fenced import ROLE, fence
from tests.support.memory_tasks import MemoryBackend
from titan.store.contract import Deposed, Fence, Store
from titan.store.tasks import Begun, Figure, NotDue, Outcome, TaskRecord

TASK = "blob-cleanup"
HOUR_S = 3600.0


@pytest.fixture(params=(*BACKENDS, "memory"))
def backend(request, tmp_path):
    if request.param == "memory":
        yield MemoryBackend()
    else:
        with made(request.param, request, tmp_path) as backend:
            yield backend


async def begin(store: Store, term: Fence, *, every_s: float = HOUR_S, name: str = TASK) -> Begun | NotDue:
    return await store.tasks.begin(name, every_s=every_s, fence=term)


async def end(store: Store, term: Fence, outcome: Outcome = Outcome.SUCCEEDED, *, due_in_s: float = HOUR_S) -> None:
    await store.tasks.end(TASK, outcome, "as it was", due_in_s=due_in_s, fence=term)


async def record(store: Store, name: str = TASK) -> TaskRecord:
    return {record.name: record for record in await store.tasks.look()}[name]


async def test_before_the_first_run_nothing_is_known(store):
    assert list(await store.tasks.look()) == []
    assert list(await store.tasks.figures()) == []


async def test_a_run_that_was_never_made_is_due_and_the_next_one_a_period_later(store):
    term = await fence(store)
    begun = await begin(store, term)
    assert isinstance(begun, Begun)
    assert (begun.failures, begun.is_resumed) == (0, False)
    running = await record(store)
    assert (running.is_running, running.started_ms, running.ended_ms) == (True, begun.now_ms, None)
    await end(store, term)
    ended = await record(store)
    assert ended.ended_ms is not None
    assert begun.now_ms <= ended.ended_ms == ended.succeeded_ms == ended.due_ms - HOUR_S * 1000
    assert (ended.is_running, ended.outcome, ended.detail, ended.runs) == (False, Outcome.SUCCEEDED, "as it was", 1)
    not_due = await begin(store, term)
    assert isinstance(not_due, NotDue)
    assert HOUR_S - 60 < not_due.wait_s <= HOUR_S
    assert await record(store) == ended


async def test_the_next_leader_keeps_to_the_period_of_the_one_before(backend):
    async with backend.open() as one, backend.open() as two:
        old = await fence(one)
        await begin(one, old)
        await end(one, old, due_in_s=0.3)
        new = await fence(two)
        not_due = await begin(two, new)
        assert isinstance(not_due, NotDue)
        await trio.sleep(not_due.wait_s)
        begun = await begin(two, new)
        assert isinstance(begun, Begun)
        assert not begun.is_resumed
        assert (await record(one)).runs == 1


async def test_the_next_leader_takes_up_at_once_what_was_broken_off(backend):
    async with backend.open() as one, backend.open() as two:
        await begin(one, await fence(one))
        new = await fence(two)
        begun = await begin(two, new)
        assert isinstance(begun, Begun)
        assert begun.is_resumed
        await end(two, new)
        assert isinstance(await begin(two, new), NotDue)
        assert (await record(one)).runs == 1


async def end_with_figures(store: Store, term: Fence) -> None:
    figures = [Figure("documents", "", 1)]
    await store.tasks.end(TASK, Outcome.SUCCEEDED, "", due_in_s=1, figures=figures, fence=term)


@pytest.mark.parametrize("effect", [begin, end_with_figures])
async def test_a_deposed_leader_notes_nothing(store, effect):
    old = await fence(store)
    await begin(store, old)
    await fence(store)
    before = list(await store.tasks.look())
    with pytest.raises(Deposed):
        await effect(store, old)
    assert list(await store.tasks.look()) == before
    assert list(await store.tasks.figures()) == []


async def test_failures_are_counted_until_a_run_ends_well(store):
    term = await fence(store)
    for failures in range(3):
        begun = await begin(store, term)
        assert isinstance(begun, Begun)
        assert begun.failures == failures
        await end(store, term, Outcome.FAILED, due_in_s=0)
    failed = await record(store)
    assert (failed.outcome, failed.failures, failed.succeeded_ms, failed.runs) == (Outcome.FAILED, 3, None, 3)
    await begin(store, term)
    await end(store, term)
    assert (await record(store)).failures == 0
    assert (await record(store)).succeeded_ms is not None


async def test_a_failed_run_comes_again_when_it_was_said_to_and_leaves_the_last_success(store):
    term = await fence(store)
    await begin(store, term)
    await end(store, term, due_in_s=0)
    succeeded_ms = (await record(store)).succeeded_ms
    await begin(store, term)
    await end(store, term, Outcome.FAILED, due_in_s=60)
    not_due = await begin(store, term)
    assert isinstance(not_due, NotDue)
    assert 50 < not_due.wait_s <= 60
    assert (await record(store)).succeeded_ms == succeeded_ms


async def test_who_asks_gets_a_run_before_it_is_due_and_only_one(backend):
    async with backend.open() as leader, backend.open() as other:
        term = await fence(leader)
        await begin(leader, term)
        await end(leader, term)
        await other.tasks.request([TASK])
        await other.tasks.request([TASK])
        assert (await record(leader)).requested_ms is not None
        assert isinstance(await begin(leader, term), Begun)
        await end(leader, term)
        assert (await record(other)).requested_ms is None
        assert isinstance(await begin(leader, term), NotDue)


async def test_a_request_during_a_run_means_one_after_it(store):
    term = await fence(store)
    await begin(store, term)
    await trio.sleep(0.01)
    await store.tasks.request([TASK])
    await end(store, term)
    assert isinstance(await begin(store, term), Begun)
    await end(store, term)
    assert isinstance(await begin(store, term), NotDue)


async def test_a_request_outlives_the_leader_that_began_it(store):
    old = await fence(store)
    await begin(store, old)
    await end(store, old)
    await store.tasks.request([TASK])
    await begin(store, old)
    new = await fence(store)
    assert (await record(store)).requested_ms is not None
    begun = await begin(store, new)
    assert isinstance(begun, Begun)
    assert begun.is_resumed


async def test_many_can_be_asked_for_that_never_ran(store):
    await store.tasks.request(["b", "a", "b"])
    assert [found.name for found in await store.tasks.look()] == ["a", "b"]
    assert isinstance(await begin(store, await fence(store), name="a"), Begun)


async def test_an_interval_that_was_shortened_counts_from_the_last_start(store):
    term = await fence(store)
    await begin(store, term)
    await end(store, term, due_in_s=HOUR_S)
    not_due = await begin(store, term, every_s=60)
    assert isinstance(not_due, NotDue)
    assert 50 < not_due.wait_s <= 60


async def test_what_is_due_later_than_a_period_from_now_is_due(store):
    """The database's clock went back."""
    term = await fence(store)
    await begin(store, term, every_s=1_000_000)
    await end(store, term, due_in_s=1_000_000)
    assert isinstance(await begin(store, term, every_s=1_000_000), NotDue)
    await store.tasks.end(TASK, Outcome.SUCCEEDED, "", due_in_s=3_000_000, fence=term)
    assert isinstance(await begin(store, term, every_s=2_000_000), NotDue)  # counted from the last start


async def test_figures_come_with_the_end_of_a_run_and_replace_all_before(store):
    term = await fence(store)
    for value in (1, 2):
        await begin(store, term)
        figures = [Figure("documents", "shell", value), Figure("documents", "submodel", 1 << 40)]
        if value == 1:
            figures.append(Figure("submodels", "ä" * 200, 0))
        await store.tasks.end(TASK, Outcome.SUCCEEDED, "", due_in_s=0, figures=figures, fence=term)
        assert sorted(await store.tasks.figures(), key=str) == sorted(figures, key=str)
    await begin(store, term)
    await end(store, term)
    assert len(await store.tasks.figures()) == 2


async def test_every_task_has_a_row_of_its_own(store):
    term = await fence(store)
    assert isinstance(await begin(store, term), Begun)
    other = Fence("external-sync", await store.begin_term("external-sync", "x"))
    begun = await begin(store, other, name="external-sync")
    assert isinstance(begun, Begun)
    assert not begun.is_resumed
    assert other.role != ROLE
    assert [found.name for found in await store.tasks.look()] == [TASK, "external-sync"]
