"""Staying connected: one loop for the server's actor and for commands."""

from collections.abc import Callable
from typing import NoReturn

import trio

from titan.island import Island
from titan.store.postgres.database import Database
from titan.store.postgres.errors import Unreachable


async def keep_connected(
    island: Island,
    database: Database,
    *,
    on_up: Callable[[], None],
    on_down: Callable[[str], None],
    delay_s: Callable[[int], float],
) -> NoReturn:
    """Connect, watch, and connect again, for as long as it takes; until cancelled.

    `delay_s` says how long to wait after so many attempts in vain. Raises `IslandDown`, and `SchemaUnfit` where
    connecting is no remedy.
    """
    attempt = 0
    while True:
        try:
            await island.run(database.connect)
        except Unreachable as error:
            database.down_because = error.reason
            on_down(error.reason)
        else:
            attempt = 0
            on_up()
            reason = await island.run(database.watch)
            database.down_because = reason
            on_down(reason)
            await island.run(database.disconnect, reason)
        await trio.sleep(delay_s(attempt))
        attempt += 1
