"""The store on PostgreSQL for a command: everything under it, for as long as the command takes."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from titan.island import Island
from titan.store.contract import StoreUnavailable
from titan.store.postgres.database import Database
from titan.store.postgres.keeping import keep_connected
from titan.store.postgres.limits import Limits
from titan.store.postgres.store import PostgresStore
from titan.store.postgres.url import PostgresUrl

LIMITS = Limits(
    pool_size=8,  # beside servers that share `max_connections`
    warm=1,
    connect_s=5.0,
    queue=1000,
    queue_s=20.0,  # a command has many writes in flight and no client that waits for one of them
    statement_s=10.0,
    recover_s=2.0,
    idle_in_transaction_s=20.0,
)
"""Of a command that reads and writes documents. Whoever asks again needs more patience than `queue_s`."""

LONGEST_DELAY_S = 1.0


@dataclass(slots=True)
class _First:
    """The first that is known of the database."""

    known: trio.Event = field(default_factory=trio.Event)
    down_because: str | None = None

    async def wait_up(self) -> None:
        """Wait for it; raise `StoreUnavailable` where that is that the database is away."""
        await self.known.wait()
        if self.down_because is not None:
            raise StoreUnavailable(f"the database is unavailable: {self.down_because}")

    def up(self) -> None:
        self.known.set()

    def down(self, reason: str) -> None:
        if not self.known.is_set():
            self.down_because = reason
        self.known.set()


@asynccontextmanager
async def open_postgres_store(url: PostgresUrl, limits: Limits = LIMITS) -> AsyncIterator[PostgresStore]:
    """Open the store for a tool. Nothing is made or migrated.

    Raises `StoreUnavailable` where the database is away at first; when it goes later, calls raise that until it is
    back. Raises `SchemaUnfit`, in a group, where this program cannot serve the schema, also when it turns so later.
    What the body raises comes out as it is.
    """
    island, database, first = Island(), Database(url, limits), _First()
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:

        async def keep() -> None:
            await keep_connected(island, database, on_up=first.up, on_down=first.down, delay_s=_delay_s)

        await nursery.start(_serve, island)
        nursery.start_soon(keep)
        try:
            await first.wait_up()
            yield PostgresStore(island, database)
        except Exception as error:  # noqa: BLE001  (raised again below, outside the nursery's group)
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _serve(island: Island, *, task_status: trio.TaskStatus[None]) -> None:
    await island.serve(task_status.started)


def _delay_s(attempt: int) -> float:
    return random.uniform(0, min(LONGEST_DELAY_S, 0.05 * 2 ** min(attempt, 10)))  # noqa: S311  (spreads the attempts)
