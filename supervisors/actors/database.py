"""The actor that keeps the connection to PostgreSQL and says how the database is. It never gives up."""

import random
from collections.abc import Callable

import trio

from supervisors.actors.connection import BACKOFF, STOPPED, Connection
from supervisors.actors.statement import Statement
from supervisors.kernel import Backoff, Context
from titan.island import Island
from titan.store.postgres.database import Database
from titan.store.schema import SchemaUnfit
from titan.telemetry.health import Check, Status

LOOK_EVERY_S = 0.25


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
        self._connection = Connection(island, database, backoff=backoff, rng=rng)
        self._database = database
        self._check = check
        self._statement = Statement(check)
        self._on_unfit = on_unfit

    async def run(self, ctx: Context) -> None:
        """Be the actor, until cancelled."""
        self._statement.begin(ctx)
        try:
            async with self._connection.ended(), trio.open_nursery() as nursery:
                nursery.start_soon(self._show)
                await self._keep()
        finally:
            self._check.set(Status.DOWN, STOPPED)

    async def _keep(self) -> None:
        try:
            await self._connection.keep(self._up, self._down)
        except SchemaUnfit as error:
            self._database.down_because = error.reason
            self._down(error.reason)
            self._on_unfit(error)
        await trio.sleep_forever()

    async def _show(self) -> None:
        """While the database is up, say whether further connections can be had."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            if self._database.down_because is None:
                refused = self._database.refused
                if refused is None:
                    self._up()
                else:
                    self._statement.say(Status.DEGRADED, f"no further connection: {refused}")

    def _up(self) -> None:
        self._statement.say(Status.UP, self._database.described)  # no address: who asks for readiness needs no token

    def _down(self, reason: str) -> None:
        self._statement.say(Status.DOWN, reason)
