"""Point selects through the island and the pool, nothing above: `python -m tests.bench.island URL SECONDS CALLERS`.

Prints selects a second of 1,000 documents' headers, the least that a GET by id costs.
"""

import random
import sys

import trio

from titan.island import Island
from titan.store.postgres.database import Database
from titan.store.postgres.limits import Limits
from titan.store.postgres.session import Session
from titan.store.postgres.url import parse

_SELECT = "SELECT header FROM titan_document WHERE n = $1"


async def select(session: Session, n: int) -> None:
    """Read one document's header by its key."""
    row = await session.read_row(_SELECT, n)
    assert row is not None


async def main(url: str, seconds: float, callers: int) -> None:
    """Let `callers` tasks select without pause and print how many selects they made a second."""
    island, done = Island(), 0
    database = Database(parse(url), Limits())
    async with trio.open_nursery() as nursery:
        started = trio.Event()
        nursery.start_soon(island.serve, started.set)
        await started.wait()
        await island.run(database.connect)
        first = await island.run(database.use, _first)

        async def call() -> None:
            nonlocal done
            while True:
                await island.run(database.use, select, first + random.randrange(1000))
                done += 1

        with trio.move_on_after(seconds):
            async with trio.open_nursery() as load:
                for _ in range(callers):
                    load.start_soon(call)
        await island.run(database.disconnect, "done")
        nursery.cancel_scope.cancel()
    print(done / seconds)


async def _first(session: Session) -> int:
    row = await session.read_row("SELECT min(n) AS first FROM titan_document")
    assert row is not None
    return int(row["first"])


if __name__ == "__main__":
    trio.run(main, sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
