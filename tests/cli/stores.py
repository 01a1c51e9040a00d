"""A look into the stores that the tests of commands leave behind."""

from pathlib import Path

import trio

from titan.cli.transfer.stores import reading
from titan.store.contract import Change, Changes


def changes(data_dir: Path) -> list[Change]:
    """Return every change that the store has recorded."""

    async def look() -> list[Change]:
        async with reading(data_dir / "titan.db") as store:
            found = await store.changes(limit=1_000_000)
            assert isinstance(found, Changes)
            return list(found.items)

    return trio.run(look)
