"""Redis as the process sees it: one handle for everybody, whatever happens to servers, connections and threads.

Redis makes things faster or lets instances talk; it is never the truth. So there is one answer to every trouble with
it, `RedisAway`: given after at most `timeout_s` to those who were under way when it began and at once to all others,
until the one prober of this instance (`keep`, which the actor `cache` runs) has seen it answer again. Nobody else
connects while it is away: an outage costs one attempt a second, however many requests there are.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import NoReturn, TypeVar, TypeVarTuple

import trio

from titan.island import Island, IslandDown
from titan.redis.contract import Commands, RedisAway, Unreachable
from titan.redis.limits import Limits
from titan.redis.tls import Tls
from titan.redis.url import RedisUrl

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Redis:
    """Redis by its URL. Nothing is connected until `keep` runs."""

    def __init__(
        self,
        island: Island,
        url: RedisUrl,
        limits: Limits | None = None,
        *,
        tls: Tls | None = None,
        rng: Random | None = None,
    ) -> None:
        # Only now, for the driver: who imports this file for its names may have no Redis at all.
        from titan.redis.remote import Remote  # noqa: PLC0415

        self.url = url
        self.limits = limits or Limits()
        self._island = island
        self._remote = Remote(url, self.limits, tls)
        self._rng = rng or Random()  # noqa: S311  (spreads attempts, guards nothing)
        self._is_up = trio.Event()

    @property
    def down_because(self) -> str | None:
        """Why it cannot be used now; None: it was up when it was last looked at."""
        return self._remote.down_because

    async def wait_until_up(self) -> None:
        """Return once it is up; at once if it is."""
        while self._remote.down_because is not None:
            await self._is_up.wait()

    async def run(self, function: Callable[[Commands, *Ts], Awaitable[T]], *args: *Ts) -> T:
        """Run `function(commands, *args)` on the island, where it may give any number of commands.

        Raises `RedisAway` after at most `timeout_s` for all of them together, at once while it is known to be away;
        `RedisRefused` where Redis did not want a command. Cancelled, commands that were sent still happen.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._remote.down_because is not None:
            raise RedisAway(self._remote.down_because)
        try:
            return await self._island.run(self._remote.use, function, *args)
        except IslandDown as error:
            raise RedisAway(str(error)) from error

    async def listen(self, channel: str, on_message: Callable[[bytes], object]) -> str:
        """Call `on_message`, on trio's side, with what is published on a channel; return why that ended.

        Not guaranteed: any message at all. What was published before Redis knew of us, while it was away or when it
        had no memory is lost. Raises `RedisAway` where it is away from the beginning: `wait_until_up`, then again;
        `RedisRefused` where this user may not listen.
        """
        token = trio.lowlevel.current_trio_token()
        if self._remote.down_because is not None:
            raise RedisAway(self._remote.down_because)
        try:
            return await self._island.run(
                self._remote.listen, channel, lambda message: token.run_sync_soon(on_message, message)
            )
        except IslandDown as error:
            raise RedisAway(str(error)) from error

    async def connected_clients(self) -> float | None:
        """Return how many clients Redis has, by its own count; of a cluster's masters the most; None: it does not tell.

        Raises `RedisAway`.
        """
        return await self.run(self._remote.connected_clients)

    async def keep(self, *, on_up: Callable[[], None], on_down: Callable[[str], None]) -> NoReturn:
        """Connect, look after it, and connect again, for as long as it takes; until cancelled. Raises `IslandDown`.

        Attempts begin `retry_s` apart; the first one after a loss comes at once if the last was long ago.
        """
        while True:
            next_s = trio.current_time() + self._rng.uniform(*self.limits.retry_s)
            try:
                await self._island.run(self._remote.connect)
            except Unreachable as error:
                self._remote.down_because = error.reason
                on_down(error.reason)
            else:
                self._is_up.set()
                on_up()
                reason = await self._island.run(self._remote.watch)
                self._is_up = trio.Event()
                on_down(reason)
            await trio.sleep_until(next_s)

    async def stop(self, reason: str) -> None:
        """Be away for this reason, and drop every connection."""
        self._remote.down_because = reason
        self._is_up = trio.Event()
        try:
            await self._island.run(self._remote.stop, reason)
        except IslandDown:
            return  # its end has dropped the connections
