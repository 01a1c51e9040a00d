"""Opening the store for a command, and what its failures mean for people and exit codes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import click
import trio

from titan.exits import ExitCode
from titan.store.contract import StoreDamaged, StoreUnavailable
from titan.store.schema import SchemaUnfit, unfit
from titan.store.sqlite.client import WriterFailed
from titan.store.sqlite.prepare import DataFolderUnusable, look
from titan.store.sqlite.store import SqliteStore, open_sqlite_store

E = TypeVar("E", bound=BaseException)

writing = open_sqlite_store


class StoreFailed(click.ClickException):
    """The store cannot be used: exit code 1."""


class SchemaFailed(StoreFailed):
    """The store has a schema that this version cannot serve: exit code 4."""

    exit_code = ExitCode.SCHEMA


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[SqliteStore]:
    """Open an existing store without changing anything: it is neither made nor migrated."""
    found = await trio.to_thread.run_sync(look, path)
    if found is None:
        raise DataFolderUnusable(f"there is no store at {path}")
    if error := unfit(found):
        raise error
    async with SqliteStore(path) as store:
        yield store


@contextmanager
def store_errors() -> Iterator[None]:
    """End a command with one line and an exit code where the store fails; take other known errors out of groups."""
    try:
        yield
    except* SchemaUnfit as group:
        raise SchemaFailed(str(first(group))) from None
    except* (DataFolderUnusable, StoreDamaged, StoreUnavailable, WriterFailed) as group:
        raise StoreFailed(str(first(group))) from None
    except* (click.ClickException, OSError) as group:
        raise first(group) from None


def first(group: BaseExceptionGroup[E]) -> E:
    """Return the first of the errors, however deep they lie: one is enough to tell people what to do."""
    one = group.exceptions[0]
    return first(one) if isinstance(one, BaseExceptionGroup) else one
