"""Back-off between restarts, on trio's clock."""

import math
import random
from itertools import pairwise

import pytest
import trio

from supervisors.kernel import (
    Backoff,
    Child,
    ChildRestarting,
    GiveUp,
    Intensity,
    State,
    Strategy,
    Supervisor,
    open_tree,
)
from tests.supervisors.kernel.scenario import HighestDelay, Stage

MANY = Intensity(max_restarts=20, within_s=1000)


def starts(stage: Stage, name: str = "a") -> list[float]:
    return [at for at, kind, who in stage.log if kind == "+" and who == name]


async def test_delays_double_up_to_the_cap(autojump_clock):
    stage = Stage()
    actor = stage.actor("a", crash_after_s=1.0, backoff=Backoff(base_s=0.5, cap_s=3.0))
    async with stage.play(actor, rng=HighestDelay(), intensity=MANY):
        await trio.sleep(15)
    times = starts(stage)
    gaps = [later - earlier - 1.0 for earlier, later in pairwise(times)]
    assert gaps == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert [event.delay_s for event in stage.of(ChildRestarting)] == gaps


async def test_a_healthy_spell_starts_the_delays_anew(autojump_clock):
    stage = Stage()
    spells = iter([1.0, 1.0, 9.99, 10.0, 1.0, math.inf])

    async def run(ctx):
        ctx.started()
        await trio.sleep(next(spells))
        raise ValueError

    actor = stage.child("a", run, backoff=Backoff(base_s=0.5, cap_s=60.0, healthy_s=10.0))
    async with stage.play(actor, rng=HighestDelay(), intensity=Intensity(max_restarts=6, within_s=1000)):
        await trio.sleep(100)
        assert [event.delay_s for event in stage.of(ChildRestarting)] == [0.5, 1.0, 2.0, 0.5, 1.0]


async def test_the_delays_are_those_that_the_injected_generator_draws(autojump_clock):
    stage = Stage()
    actor = stage.actor("a", crash_after_s=1.0, backoff=Backoff(base_s=0.5, cap_s=3.0))
    async with stage.play(actor, rng=random.Random(7), intensity=MANY):
        await trio.sleep(10)
    twin = random.Random(7)
    delays = [event.delay_s for event in stage.of(ChildRestarting)]
    assert len(delays) > 3
    assert delays == [twin.uniform(0, min(3.0, 0.5 * 2**n)) for n in range(len(delays))]


async def test_without_a_generator_restarts_are_still_spread(autojump_clock):
    stage = Stage()
    actors = tuple(stage.actor(f"a{n}", crash_after_s=1.0, crashes=1) for n in range(5))
    async with open_tree(Supervisor(name="root", children=actors), on_event=stage.events.append):
        await trio.sleep(3)
    assert len({event.delay_s for event in stage.of(ChildRestarting)}) == 5


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_a_child_in_backoff_delays_no_sibling(autojump_clock, strategy):
    """The first one waits for 50 s; the second crashes meanwhile (in another supervisor than with rest_for_one)."""
    stage = Stage()
    slow = stage.actor("slow", crash_after_s=1.0, crashes=1, backoff=Backoff(base_s=50, cap_s=50))
    quick = stage.actor("quick", crash_after_s=2.0, crashes=1, backoff=Backoff(base_s=0.5))
    # The quick one comes first in order, so that it is not among those that share the slow one's fate.
    children: tuple[Child | Supervisor, ...] = (quick, slow) if strategy is Strategy.REST_FOR_ONE else (slow, quick)
    if strategy is Strategy.ONE_FOR_ALL:
        children = tuple(
            Supervisor(name=child.name, children=(child,), intensity=Intensity(max_restarts=1, within_s=100))
            for child in children
        )
        strategy = Strategy.ONE_FOR_ONE
    async with stage.play(*children, rng=HighestDelay(), strategy=strategy, intensity=Intensity(within_s=1000)):
        await trio.sleep(3)
        assert [at for at, kind, who in stage.log if kind == "+" and who.endswith("quick")] == [0.0, 2.5]
        await trio.sleep(100)
        assert [at for at, kind, who in stage.log if kind == "+" and who.endswith("slow")][:2] == [0.0, 51.0]


async def test_a_child_in_backoff_keeps_its_own_delay_when_another_restart_hits_it(autojump_clock):
    stage = Stage()
    first = stage.actor("first", crash_after_s=5.0, crashes=1, backoff=Backoff(base_s=1, cap_s=1))
    later = stage.actor("later", crash_after_s=4.0, crashes=1, backoff=Backoff(base_s=50, cap_s=50))
    async with stage.play(
        first, later, rng=HighestDelay(), strategy=Strategy.REST_FOR_ONE, intensity=Intensity(within_s=1000)
    ) as tree:
        await trio.sleep(7)
        assert [node.state for node in tree.snapshot().children] == [State.RUNNING, State.BACKOFF]
        await trio.sleep(50)
        assert starts(stage, "first") == [0.0, 6.0]
        assert starts(stage, "later") == [0.0, 54.0]


async def test_a_crash_loop_without_any_delay_ends_by_the_intensity(autojump_clock):
    stage = Stage()
    with pytest.RaisesGroup(GiveUp):
        async with stage.play(
            stage.actor("a", crash_after_s=0, backoff=Backoff(base_s=0)),
            intensity=Intensity(max_restarts=100, within_s=1),
        ) as tree:
            await tree.wait_finished()
    assert stage.did("+") == ["+a"] * 101


async def test_a_stop_does_not_wait_for_a_backoff(autojump_clock):
    stage = Stage()
    actor = stage.actor("a", crash_after_s=1.0, backoff=Backoff(base_s=100, cap_s=100))
    async with stage.play(actor, rng=HighestDelay(), intensity=Intensity(within_s=1000)) as tree:
        await trio.sleep(2)
        assert tree.snapshot().children[0].state is State.BACKOFF
        await tree.stop()
        assert trio.current_time() == 2
        assert tree.snapshot().children[0].state is State.DOWN
    assert stage.did("+") == ["+a"]
