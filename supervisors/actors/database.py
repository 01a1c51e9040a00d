"""The actor that keeps the connection to PostgreSQL and says how the database is. It never gives up."""

import random
from collections.abc import Callable

import trio

from supervisors.kernel import Backoff, Context
from supervisors.kernel.backoff import draw_delay_s
from titan.island import Island, IslandDown
from titan.store.postgres.database import Database
from titan.store.postgres.keeping import keep_connected
from titan.store.schema import SchemaUnfit
from titan.telemetry.health import Check, Status

BACKOFF = Backoff(base_s=0.05, cap_s=1.0)
LOOK_EVERY_S = 0.25
DISCONNECT_S = 1.0
STOPPED = "the server stops"


class DatabaseActor:
    """Connects, watches, and connects again, for as long as it takes; a database that is away is a state.

    *Started* once the first state is known, up or down. What ends it is a bug; what it cannot live with, a schema that
    this program must not serve, is told to `on_unfit`, whose business it is to end the process.
    """

    def __init__(
        self,
        island: Island,
        database: Database,
        check: Check,
        *,
        on_unfit: Callable[[SchemaUnfit], None],
        backoff: Backoff = BACKOFF,
        rng: random.Random | None = None,
    ) -> None:
        self._island = island
        self._database = database
        self._check = check
        self._on_unfit = on_unfit
        self._backoff = backoff
        self._rng = rng or random.Random()  # noqa: S311  (spreads attempts, guards nothing)
        self._tell_started: Callable[[], None] = lambda: None

    async def run(self, ctx: Context) -> None:
        """Be the actor, until cancelled."""
        self._tell_started = ctx.started
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._show)
                await self._keep()
        finally:
            self._check.set(Status.DOWN, STOPPED)
            self._database.down_because = STOPPED
            with trio.move_on_after(DISCONNECT_S, shield=True):
                await self._disconnect(STOPPED)

    async def _keep(self) -> None:
        try:
            await keep_connected(
                self._island, self._database, on_up=self._up, on_down=self._down, delay_s=self._delay_s
            )
        except IslandDown as error:
            self._down(str(error))  # our supervisor is about to restart the island, and us after it
        except SchemaUnfit as error:
            self._down(error.reason)
            self._on_unfit(error)
        await trio.sleep_forever()

    def _delay_s(self, attempt: int) -> float:
        return draw_delay_s(self._backoff, attempt, self._rng)

    async def _show(self) -> None:
        """While the database is up, say whether further connections can be had."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            if self._database.down_because is None:
                refused = self._database.refused
                if refused is None:
                    self._up()
                else:
                    self._say(Status.DEGRADED, f"no further connection: {refused}")

    async def _disconnect(self, reason: str) -> None:
        try:
            await self._island.run(self._database.disconnect, reason)
        except IslandDown:
            return  # its end has dropped the connections

    def _up(self) -> None:
        self._say(Status.UP, self._database.described)  # no address: who asks for readiness needs no token

    def _down(self, reason: str) -> None:
        self._database.down_because = reason
        self._say(Status.DOWN, reason)

    def _say(self, status: Status, detail: str) -> None:
        self._check.set(status, detail)
        started, self._tell_started = self._tell_started, lambda: None
        started()
