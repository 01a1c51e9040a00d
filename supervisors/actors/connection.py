"""What the actors of PostgreSQL databases share: a connection is kept, whatever happens, until the actor stops."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import trio

from supervisors.kernel import Backoff
from supervisors.kernel.backoff import draw_delay_s
from titan.island import Island, IslandDown
from titan.store.postgres.database import Database
from titan.store.postgres.keeping import keep_connected

BACKOFF = Backoff(base_s=0.05, cap_s=1.0)
DISCONNECT_S = 1.0
STOPPED = "the server stops"


class Connection:
    """Connects, watches, and connects again, for as long as it takes."""

    def __init__(self, island: Island, database: Database, *, backoff: Backoff, rng: random.Random | None) -> None:
        self._island = island
        self._database = database
        self._backoff = backoff
        self._rng = rng or random.Random()  # noqa: S311  (spreads attempts, guards nothing)

    async def keep(self, on_up: Callable[[], None], on_down: Callable[[str], None]) -> NoReturn:
        """Keep it until cancelled, saying how it is. Raises `SchemaUnfit` where connecting is no remedy."""

        def down(reason: str) -> None:
            self._database.down_because = reason
            on_down(reason)

        try:
            await keep_connected(self._island, self._database, on_up=on_up, on_down=down, delay_s=self._delay_s)
        except IslandDown as error:
            down(str(error))  # our supervisor is about to restart the island, and us after it
            await trio.sleep_forever()

    def _delay_s(self, attempt: int) -> float:
        return draw_delay_s(self._backoff, attempt, self._rng)

    @asynccontextmanager
    async def ended(self) -> AsyncIterator[None]:
        """Disconnect at the end of the block."""
        try:
            yield
        finally:
            self._database.down_because = STOPPED
            with trio.move_on_after(DISCONNECT_S, shield=True):
                await self._disconnect()

    async def _disconnect(self) -> None:
        try:
            await self._island.run(self._database.disconnect, STOPPED)
        except IslandDown:
            return  # its end has dropped the connections
