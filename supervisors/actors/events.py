"""The actor that hands events out to the clients that follow them."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from supervisors.kernel import Context

Run = Callable[[], Awaitable[NoReturn]]


class EventsActor:
    """Runs the hub. Whatever ends it, a drain first of all, ends every stream, with a cursor to go on from.

    `drain` is set when the process begins to stop, before its parts are stopped one after the other: clients learn of
    it at once and go elsewhere.
    """

    def __init__(self, run_hub: Run, drain: trio.Event) -> None:
        self._run_hub = run_hub
        self._drain = drain

    async def run(self, ctx: Context) -> None:
        """Be the actor, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_hub)
            ctx.started()
            await self._drain.wait()
            nursery.cancel_scope.cancel()
        await trio.sleep_forever()
