"""Stores for the tests of commands, and a look into them."""

import shutil
from pathlib import Path

import trio

from titan.cli.transfer.stores import reading
from titan.store.contract import Change, Changes
from titan.store.sqlite.prepare import prepare


def make_empty(folder: Path) -> Path:
    """Make a data folder with an empty, migrated store."""
    trio.run(prepare, folder / "titan.db")
    return folder


def copy(template: Path, folder: Path) -> Path:
    """Make a data folder like another one: migrating anew for each test would take most of the tests' time."""
    shutil.copytree(template, folder)
    return folder


def changes(data_dir: Path) -> list[Change]:
    """Return every change that the store has recorded."""

    async def look() -> list[Change]:
        async with reading(data_dir / "titan.db") as store:
            found = await store.changes(limit=1_000_000)
            assert isinstance(found, Changes)
            return list(found.items)

    return trio.run(look)
