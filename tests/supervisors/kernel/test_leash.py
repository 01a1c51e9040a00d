"""A movable deadline above everything that works for a term."""

import gc
import math
from typing import Any

import pytest
import trio

from supervisors.kernel import (
    Backoff,
    Child,
    ChildExited,
    Context,
    ExitReason,
    FirstStartFailed,
    GiveUp,
    Intensity,
    Leash,
    LeashRanOut,
    Restart,
    State,
    StopTooSlow,
    Strategy,
    Supervisor,
)
from tests.supervisors.kernel.scenario import Boom, HighestDelay, Stage

ONCE: dict[str, Any] = {"restart": Restart.TEMPORARY}


class Holder:
    """The child of a term that holds the leash, as the test's hand."""

    def __init__(self) -> None:
        self.leashes: list[Any] = []

    @property
    def leash(self) -> Any:
        return self.leashes[-1]

    def child(self, stage: Stage, name: str = "lease") -> Child:
        async def run(ctx: Context) -> None:
            self.leashes.append(ctx.leash)
            stage.note("+", ctx.name)
            ctx.started()
            try:
                await trio.sleep_forever()
            finally:
                stage.note("-", ctx.name)

        return stage.child(name, run)


def term(
    stage: Stage, holder: Holder, *others: Child | Supervisor, first_s: float = math.inf, **options: Any
) -> Supervisor:
    return Supervisor(
        name="term",
        children=(holder.child(stage), *others),
        strategy=Strategy.REST_FOR_ONE,
        leash=Leash(first_s=first_s),
        **options,
    )


def exits_of(stage: Stage, path: str) -> list[ChildExited]:
    return [event for event in stage.of(ChildExited) if event.path == path]


async def test_without_a_leash_above_there_is_none_in_the_context(autojump_clock):
    stage, holder = Stage(), Holder()
    async with stage.play(holder.child(stage)):
        assert holder.leash is None


async def test_a_leash_that_is_not_extended_ends_the_term_after_first_s(autojump_clock):
    stage, holder = Stage(), Holder()
    with pytest.RaisesGroup(LeashRanOut) as caught:
        async with stage.play(holder.child(stage), stage.actor("task"), leash=Leash(first_s=5.0)) as tree:
            await tree.wait_finished()
    assert str(caught.value.exceptions[0]) == "root is at the end of its leash"
    assert {(at, kind) for at, kind, _ in stage.log[2:]} == {(5.0, "-")}
    assert {event.reason for event in stage.of(ChildExited)} == {ExitReason.LEASH}


async def test_each_extension_moves_the_end_for_every_child(autojump_clock):
    stage, holder = Stage(), Holder()
    async with stage.play(term(stage, holder, stage.actor("task"), first_s=5.0, restart=Restart.TEMPORARY)) as tree:
        for now in (3, 6, 9):
            await trio.sleep_until(now)
            assert holder.leash.extend(now + 5.0)
        await trio.sleep_until(20)
        assert sorted(stage.log[2:]) == [(14.0, "-", "term/lease"), (14.0, "-", "term/task")]
        assert tree.snapshot().children[0].state is State.FINISHED


async def test_an_extension_never_makes_it_shorter(autojump_clock):
    stage, holder = Stage(), Holder()
    async with stage.play(term(stage, holder, first_s=5.0)):
        assert holder.leash.extend(3.0)
        assert holder.leash.deadline == 5.0


async def test_a_leash_that_ran_out_cannot_be_extended_not_even_in_its_last_tick(autojump_clock):
    stage, holder = Stage(), Holder()
    async with stage.play(term(stage, holder, first_s=5.0)):
        old = holder.leash
        await trio.sleep(6)
        assert not old.extend(100.0)
        assert old.has_run_out()
        assert not holder.leash.has_run_out()
    assert len(holder.leashes) == 2


async def test_an_old_term_cannot_extend_the_new_one(autojump_clock):
    stage, holder = Stage(), Holder()
    async with stage.play(term(stage, holder, first_s=5.0)):
        await trio.sleep(6)
        old, new = holder.leashes
        old.extend(1000.0)
        old.cut()
        assert new.deadline == 10.0


async def test_a_leash_can_be_cut(autojump_clock):
    stage, holder = Stage(), Holder()
    async with stage.play(term(stage, holder, stage.actor("task"), restart=Restart.TEMPORARY)) as tree:
        await trio.sleep(3)
        holder.leash.cut()
        await trio.sleep(1)
        assert {(at, kind) for at, kind, _ in stage.log[2:]} == {(3.0, "-")}
        assert tree.snapshot().children[0].state is State.FINISHED
        # trio itself ended them, not their supervisor.
        ended = [event for event in stage.of(ChildExited) if event.path != "root/term"]
        assert [(event.reason, event.asked) for event in ended] == [(ExitReason.LEASH, False)] * 2


async def test_a_cut_is_noticed_although_no_child_ends_by_it(autojump_clock):
    stage = Stage()
    leashes = []

    async def deaf(ctx):
        leashes.append(ctx.leash)
        ctx.started()
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    children = stage.child("a", deaf, shutdown_s=4.0), stage.child("b", deaf, shutdown_s=3.0)
    async with stage.play(Supervisor(name="term", children=children, leash=Leash())):
        await trio.sleep(1)
        leashes[0].cut()
        await trio.sleep(9)
        # Both at once: their term is over, order no longer matters.
        assert [(event.path, event.at) for event in stage.of(StopTooSlow)] == [
            ("root/term/b", 4.0),
            ("root/term/a", 5.0),
        ]
        await trio.sleep(51)
        # They returned by themselves, but late: the leash had ended them.
        ended = [event for event in stage.of(ChildExited) if event.path != "root/term"]
        assert [(event.reason, event.asked) for event in ended] == [(ExitReason.LEASH, False)] * 2


async def test_the_end_of_a_term_is_told_apart_from_a_crash_and_not_counted(autojump_clock):
    stage, holder = Stage(), Holder()
    never = Intensity(max_restarts=0, within_s=1000)
    spec = term(stage, holder, first_s=2.0, backoff=Backoff(base_s=0.5, cap_s=2.0))
    async with stage.play(spec, intensity=never, rng=HighestDelay()):
        await trio.sleep(20)
        assert len(holder.leashes) > 4
        ended = exits_of(stage, "root/term")
        assert {event.reason for event in ended} == {ExitReason.LEASH}
        assert {type(event.error) for event in ended} == {LeashRanOut}
        # Terms of 2 s, with delays of 0.5, 1, 2, 2, ... between them: no spin, however often it happens.
        assert [event.at for event in ended][:4] == [2.0, 4.5, 7.5, 11.5]


@pytest.mark.parametrize(
    ("restart", "state"), [(Restart.TRANSIENT, State.FINISHED), (Restart.PERMANENT, State.BACKOFF)]
)
async def test_whether_a_term_follows_is_said_by_the_restart_type(autojump_clock, restart, state):
    stage, holder = Stage(), Holder()
    async with stage.play(term(stage, holder, first_s=2.0, restart=restart), rng=HighestDelay()) as tree:
        await trio.sleep(2.01)
        assert tree.snapshot().children[0].state is state


async def test_every_child_at_any_depth_is_cancelled_at_once_and_cleans_up_side_by_side(autojump_clock):
    stage, holder = Stage(), Holder()
    inner = Supervisor(name="inner", children=(stage.actor("b", clean_up_s=2.0), stage.actor("c", clean_up_s=2.0)))
    spec = term(stage, holder, stage.actor("a", clean_up_s=2.0), inner, first_s=5.0, restart=Restart.TEMPORARY)
    async with stage.play(spec):
        await trio.sleep(20)
        assert sorted(stage.log[4:]) == [
            (5.0, "-", "term/lease"),
            (7.0, "-", "term/a"),
            (7.0, "-", "term/inner/b"),
            (7.0, "-", "term/inner/c"),
        ]
        assert [event.reason for event in exits_of(stage, "root/term")] == [ExitReason.LEASH]


async def test_a_child_under_a_leash_that_is_too_slow_is_reported(autojump_clock):
    stage, holder = Stage(), Holder()
    slow = stage.actor("slow", clean_up_s=30.0, shutdown_s=2.0, stop="drain")
    async with stage.play(term(stage, holder, slow, first_s=5.0, restart=Restart.TEMPORARY)):
        await trio.sleep(20)
        # It was cancelled by the leash: there is nothing left to drain, so no grace after that.
        assert [(event.path, event.at) for event in stage.of(StopTooSlow)] == [("root/term/slow", 7.0)]


async def test_an_inner_leash_ends_with_the_outer_one_and_not_after_it(autojump_clock):
    stage, outer, inner = Stage(), Holder(), Holder()
    short = Supervisor(name="short", children=(inner.child(stage), stage.actor("work")), leash=Leash())
    async with stage.play(term(stage, outer, short, first_s=5.0, restart=Restart.TEMPORARY)):
        assert inner.leash is not outer.leash
        assert inner.leash.extend(100.0)
        assert inner.leash.deadline == 5.0
        assert outer.leash.extend(8.0)
        assert inner.leash.deadline == 8.0
        await trio.sleep(20)
        assert {at for at, kind, _ in stage.log if kind == "-"} == {8.0}
        assert not inner.leash.extend(100.0)


async def test_an_inner_leash_that_runs_out_leaves_the_outer_term_alone(autojump_clock):
    stage, outer, inner = Stage(), Holder(), Holder()
    short = Supervisor(name="short", children=(inner.child(stage),), leash=Leash(first_s=2.0))
    async with stage.play(term(stage, outer, short)):
        await trio.sleep(20)
        assert len(inner.leashes) > 3
        assert len(outer.leashes) == 1
        assert outer.leash.extend(1000.0)


async def test_a_child_that_starts_under_a_leash_gets_its_present_deadline(autojump_clock):
    stage, holder = Stage(), Holder()
    late = stage.actor("late", crash_after_s=4.0, crashes=1)
    async with stage.play(term(stage, holder, late, first_s=5.0, restart=Restart.TEMPORARY)):
        await trio.sleep(3)
        holder.leash.extend(8.0)
        await trio.sleep(17)
        assert stage.log[-1][0] == 8.0
        assert sorted(stage.did("-")) == ["-term/late", "-term/late", "-term/lease"]


async def test_a_crash_in_the_tick_in_which_the_leash_runs_out_is_reported_and_not_counted(autojump_clock):
    stage, holder = Stage(), Holder()
    task = stage.actor("task", clean_up_error=Boom("in the clean-up"))
    spec = term(
        stage, holder, task, first_s=5.0, intensity=Intensity(max_restarts=0, within_s=9), restart=Restart.TEMPORARY
    )
    async with stage.play(spec):
        await trio.sleep(20)
        assert [str(event.error) for event in exits_of(stage, "root/term/task")] == ["in the clean-up"]
        assert [event.reason for event in exits_of(stage, "root/term")] == [ExitReason.LEASH]


async def test_a_crash_under_a_leash_is_a_crash(autojump_clock):
    stage, holder = Stage(), Holder()
    spec = term(stage, holder, stage.actor("task", crash_after_s=1.0), intensity=Intensity(max_restarts=1, within_s=9))
    with pytest.RaisesGroup(GiveUp):
        async with stage.play(spec, intensity=Intensity(max_restarts=0, within_s=99)) as tree:
            await tree.wait_finished()
    assert type(exits_of(stage, "root/term")[0].error) is GiveUp


async def test_a_stop_of_a_term_is_a_stop(autojump_clock):
    stage, holder = Stage(), Holder()
    async with stage.play(term(stage, holder, stage.actor("task", clean_up_s=2.0), first_s=1.0)):
        pass
    # The leash runs out during the stop and ends the lease without waiting for its turn, and changes nothing else.
    assert stage.log[2:] == [(1.0, "-", "term/lease"), (2.0, "-", "term/task")]
    assert [event.reason for event in exits_of(stage, "root/term")] == [ExitReason.STOPPED]


async def test_a_child_that_only_says_that_a_leash_ran_out_has_failed(autojump_clock):
    stage = Stage()

    async def liar(ctx):
        ctx.started()
        raise LeashRanOut("elsewhere")

    with pytest.RaisesGroup(GiveUp):
        async with stage.play(stage.child("a", liar), intensity=Intensity(max_restarts=1, within_s=9)) as tree:
            await tree.wait_finished()


async def test_a_leash_that_runs_out_during_the_first_start_fails_it(autojump_clock):
    stage, holder = Stage(), Holder()
    with pytest.RaisesGroup(FirstStartFailed) as caught:
        async with stage.play(term(stage, holder, stage.actor("slow", start_after_s=9.0), first_s=5.0)):
            pytest.fail("the block must not run")
    assert isinstance(caught.value.exceptions[0].__cause__, LeashRanOut)
    assert trio.current_time() == 5.0


async def test_a_term_ends_at_its_deadline_even_if_nothing_runs_in_it(autojump_clock):
    stage = Stage()
    slow = Backoff(base_s=50, cap_s=50)
    idle = stage.actor("idle", crash_after_s=1.0, backoff=slow), stage.actor("done", return_after_s=1.0, **ONCE)
    intensity = Intensity(within_s=1000)
    spec = Supervisor(name="term", children=idle, leash=Leash(first_s=5.0), intensity=intensity, **ONCE)
    async with stage.play(spec, rng=HighestDelay()):
        await trio.sleep(20)
        assert [(event.at, event.reason) for event in exits_of(stage, "root/term")] == [(5.0, ExitReason.LEASH)]


async def test_a_term_that_is_over_is_forgotten_by_the_leash_above(autojump_clock):
    stage, outer, inner = Stage(), Holder(), Holder()
    short = Supervisor(name="short", children=(inner.child(stage),), leash=Leash(first_s=1.0))
    async with stage.play(term(stage, outer, short), intensity=Intensity(within_s=100)):
        await trio.sleep(20)
        assert len(inner.leashes) > 10
        del inner.leashes[:], stage.events[:]  # their errors hold on to what was going on
        gc.collect()
        assert len(outer.leash._inner) == 1


async def test_a_child_that_ended_is_forgotten_by_its_leash(autojump_clock):
    stage, holder = Stage(), Holder()
    busy = stage.actor("busy", crash_after_s=1.0)
    spec = term(stage, holder, busy, intensity=Intensity(max_restarts=99, within_s=900))
    async with stage.play(spec, intensity=Intensity(max_restarts=0, within_s=1)):
        await trio.sleep(20.5)
        assert stage.did("+").count("+term/busy") > 15
        assert len(holder.leash._scopes) == 2
