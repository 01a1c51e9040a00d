"""A tree under test: actors that do as they are told, and two independent records of what happened.

`Actor.log` is written by the actors' own code (the truth); `events` is what the kernel says. Tests compare both.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from supervisors.kernel import ActorEvent, Child, ChildExited, Context, Supervisor, Tree, open_tree


class Boom(Exception):
    """What a test actor raises."""


class LowestDelay(random.Random):
    """Full jitter that always draws nothing: restarts follow at once."""

    def uniform(self, a: float, b: float) -> float:
        return a


class HighestDelay(random.Random):
    """Full jitter that always draws the upper bound, so that delays can be asserted."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Stage:
    """Makes actors, keeps what they did, and what the kernel reported."""

    def __init__(self) -> None:
        self.log: list[tuple[float, str, str]] = []
        self.events: list[ActorEvent] = []
        self.crashes: dict[str, trio.Event] = {}
        self.running: dict[str, int] = {}

    def note(self, what: str, name: str) -> None:
        self.log.append((trio.current_time(), what, name.removeprefix("root/")))

    def did(self, *what: str) -> list[str]:
        """The log without times, e.g. `["+a", "+b", "-b"]`, restricted to these kinds if any are given."""
        return [f"{kind}{name}" for _, kind, name in self.log if not what or kind in what]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def errors(self) -> list[BaseException]:
        return [event.error for event in self.of(ChildExited) if event.error is not None]

    def actor(
        self,
        name: str,
        *,
        crash_after_s: float | None = None,
        crashes: int = 10**9,
        start_after_s: float = 0.0,
        return_after_s: float | None = None,
        clean_up_s: float = 0.0,
        clean_up_error: BaseException | None = None,
        **options: Any,
    ) -> Child:
        """A child that logs `+` when started and `-` at its end; it crashes `crashes` times at most."""
        left = crashes

        async def run(ctx: Context) -> None:
            nonlocal left
            self.running[ctx.name] = self.running.get(ctx.name, 0) + 1
            assert self.running[ctx.name] == 1, "two instances of one child"
            try:
                if start_after_s:
                    await trio.sleep(start_after_s)
                self.note("+", ctx.name)
                ctx.started()
                if crash_after_s is not None and left > 0:
                    left -= 1
                    await trio.sleep(crash_after_s)
                    self.note("!", ctx.name)
                    raise Boom(ctx.name)
                if return_after_s is not None:
                    await trio.sleep(return_after_s)
                    return
                await trio.sleep_forever()
            finally:
                if clean_up_s:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(clean_up_s)
                self.note("-", ctx.name)
                self.running[ctx.name] -= 1
                if clean_up_error is not None:
                    raise clean_up_error

        return Child(name=name, run=run, **options)

    def child(self, name: str, run: Callable[[Context], Awaitable[None]], **options: Any) -> Child:
        return Child(name=name, run=run, **options)

    @asynccontextmanager
    async def play(
        self, *children: Child | Supervisor, rng: random.Random | None = None, **options: Any
    ) -> AsyncIterator[Tree]:
        spec = Supervisor(name="root", children=children, **options)
        async with open_tree(spec, rng=rng or LowestDelay(), on_event=self.events.append, wall=lambda: 0.0) as tree:
            yield tree
