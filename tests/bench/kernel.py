"""What supervision costs, against what a bare trio nursery costs in the same run."""

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator

import trio

from supervisors.kernel import Backoff, Child, Context, Intensity, Supervisor, open_tree
from tests.bench.figures import Figure, Run, at_most, spread

CHILDREN = 1_000
RESTARTS = 1_000


class Crash(Exception):
    """What the restarted child raises."""


async def _idle(ctx: Context) -> None:
    ctx.started()
    await trio.sleep_forever()


async def _supervised_children() -> None:
    """Start each child after the one before it has said that it is up, stop them in reverse, one by one."""
    children = tuple(Child(name=f"child{number}", run=_idle) for number in range(CHILDREN))
    async with open_tree(Supervisor(name="root", children=children)):
        pass


async def _bare_children() -> None:
    """Start all in one tick and cancel all in one tick: no order, no handshake, no report."""
    async with trio.open_nursery() as nursery:
        for _ in range(CHILDREN):
            nursery.start_soon(trio.sleep_forever)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


async def _supervised_restarts() -> None:
    left, done = RESTARTS, trio.Event()

    async def crash(ctx: Context) -> None:
        nonlocal left
        ctx.started()
        if left == 0:
            done.set()
            await trio.sleep_forever()
        left -= 1
        raise Crash

    child = Child(name="child", run=crash, backoff=Backoff(base_s=0.0))
    intensity = Intensity(max_restarts=RESTARTS, within_s=3600.0)
    async with open_tree(Supervisor(name="root", children=(child,), intensity=intensity)):
        await done.wait()


async def _bare_restarts() -> None:
    """Write the smallest loop that opens a nursery, lets its only task crash, and does so again."""

    async def crash() -> None:
        raise Crash

    for _ in range(RESTARTS):
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crash)
        except* Crash:
            pass


def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    trio.run(work)
    return time.perf_counter() - began


def measure(run: Run) -> Iterator[Figure]:
    """Let both sides take turns; the figure is the median of the turns' ratios."""
    yield _against(run, f"{CHILDREN:,} children started and stopped", _supervised_children, _bare_children, 1)
    yield _against(run, "Restart of a crashed child", _supervised_restarts, _bare_restarts, RESTARTS)


def _against(
    run: Run, name: str, supervised: Callable[[], Awaitable[None]], bare: Callable[[], Awaitable[None]], per: int
) -> Figure:
    run.say(name)
    turns = [(_seconds(supervised) / per, _seconds(bare) / per) for _ in range(run.rounds)]
    ratio = statistics.median(ours / theirs for ours, theirs in turns)
    unit, factor = ("ms", 1e3) if per == 1 else ("µs", 1e6)
    ours, theirs = (spread([turn[side] * factor for turn in turns]) for side in (0, 1))
    return Figure("kernel", name, ratio, "× bare nursery", at_most(10), f"{unit}: kernel {ours}; nursery {theirs}")
