"""The actor that keeps the connection to a read replica and says how far that is behind. It never gives up."""

import random

import trio

from supervisors.actors.connection import BACKOFF, STOPPED, Connection
from supervisors.actors.statement import Statement
from supervisors.kernel import Backoff, Context
from titan.island import Island
from titan.store.postgres.lag import RECENT_S
from titan.store.postgres.replica import Replica
from titan.telemetry.health import Check, Status

LOOK_EVERY_S = 0.25


class ReplicaActor:
    """Connects, watches, and connects again; whatever is wrong with a replica, the primary answers in its stead.

    *Started* once the first state is known. The check is degraded at worst: an instance without its replica serves.
    """

    def __init__(
        self,
        island: Island,
        replica: Replica,
        check: Check,
        *,
        max_lag_s: float,
        backoff: Backoff = BACKOFF,
        rng: random.Random | None = None,
    ) -> None:
        self._connection = Connection(island, replica.standby, backoff=backoff, rng=rng)
        self._replica = replica
        self._statement = Statement(check)
        self._max_lag_s = max_lag_s

    async def run(self, ctx: Context) -> None:
        """Be the actor, until cancelled."""
        self._statement.begin(ctx)
        try:
            async with self._connection.ended(), trio.open_nursery() as nursery:
                nursery.start_soon(self._show)
                await self._connection.keep(self._up, self._away)
        finally:
            self._away(STOPPED)

    async def _show(self) -> None:
        """While it is connected, say how far it is behind."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            if self._replica.standby.down_because is None:
                self._up()

    def _up(self) -> None:
        replica, behind_s = self._replica, self._replica.lag.behind_s
        if replica.damage is not None:
            self._away(f"its data is damaged, it is not read until this server restarts: {replica.damage}")
        elif behind_s is not None and behind_s > self._max_lag_s:
            # No figure: each new one would be a line of the log. The metric has it.
            self._away(f"more than {self._max_lag_s:g} s behind the primary, which answers instead")
        elif replica.is_near:
            self._statement.say(Status.UP, replica.standby.described)
        else:
            self._statement.say(
                Status.UP, f"{replica.standby.described}; not known to be less than {RECENT_S:g} s behind now"
            )

    def _away(self, reason: str) -> None:
        self._statement.say(Status.DEGRADED, reason, is_away=True)
