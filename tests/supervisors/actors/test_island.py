"""The actor of the island: under a real supervisor, with what stands on it."""

import asyncio
import threading

import pytest
import trio

from supervisors.actors.island import IslandActor
from supervisors.kernel import Backoff, Child, ChildRestarting, ChildStarted, Context, Strategy, Supervisor, open_tree
from tests.support.waiting import until
from titan.island import Island, IslandDown


async def die() -> None:
    raise SystemExit(3)


async def test_when_its_thread_dies_it_is_restarted_once_with_what_stands_on_it():
    island = Island(beat_s=0.01)
    events: list[object] = []
    runs = []

    async def dependent(ctx: Context) -> None:
        runs.append(await island.run(asyncio.sleep, 0, "up"))
        ctx.started()
        await trio.sleep_forever()

    spec = Supervisor(
        name="stores",
        strategy=Strategy.REST_FOR_ONE,
        children=(
            Child(name="island", run=IslandActor(island).run, backoff=Backoff(base_s=0.01, cap_s=0.05)),
            Child(name="database", run=dependent),
        ),
    )
    async with open_tree(spec, on_event=events.append):
        with pytest.raises(IslandDown):
            await island.run(die)
        await until(lambda: len(runs) == 2)
        assert await island.run(asyncio.sleep, 0, "again") == "again"
    restarts = [event.path for event in events if isinstance(event, ChildRestarting)]
    assert restarts == ["stores/island", "stores/database"]
    starts = [event.path for event in events if isinstance(event, ChildStarted)]
    assert starts == ["stores/island", "stores/database", "stores", "stores/island", "stores/database"]


async def test_it_lives_while_its_loop_turns_and_not_while_it_is_stuck(monkeypatch):
    monkeypatch.setattr("supervisors.actors.island.FRESH_S", 0.1)
    island = Island(beat_s=0.01)
    actor = IslandActor(island)
    assert actor.is_alive()  # there is none to be stuck
    stuck, release = threading.Event(), threading.Event()

    async def block() -> None:
        stuck.set()
        release.wait(5)

    spec = Supervisor(name="stores", children=(Child(name="island", run=actor.run),))
    async with open_tree(spec), trio.open_nursery() as nursery:
        assert actor.is_alive()
        nursery.start_soon(island.run, block)
        await until(stuck.is_set)
        await until(lambda: not actor.is_alive())
        release.set()
        await until(actor.is_alive)
