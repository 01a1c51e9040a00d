"""Opening the store for a command, and what its failures mean for people and exit codes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import click
import trio

from titan.exits import ExitCode
from titan.store.contract import Store, StoreDamaged, StoreUnavailable
from titan.store.postgres.url import PostgresUrl
from titan.store.schema import SchemaUnfit, unfit
from titan.store.sqlite.client import WriterFailed
from titan.store.sqlite.prepare import DataFolderUnusable, look
from titan.store.sqlite.store import SqliteStore, open_sqlite_store

E = TypeVar("E", bound=BaseException)

Place = PostgresUrl | Path


class StoreFailed(click.ClickException):
    """The store cannot be used: exit code 1."""


class SchemaFailed(StoreFailed):
    """The store has a schema that this version cannot serve: exit code 4."""

    exit_code = ExitCode.SCHEMA


@asynccontextmanager
async def writing(place: Place) -> AsyncIterator[Store]:
    """Open the store to write into it. An embedded one is made or migrated if that is due, PostgreSQL never."""
    async with _postgres(place) if isinstance(place, PostgresUrl) else open_sqlite_store(place) as store:
        yield store


@asynccontextmanager
async def reading(place: Place) -> AsyncIterator[Store]:
    """Open an existing store without changing anything: it is neither made nor migrated."""
    async with _postgres(place) if isinstance(place, PostgresUrl) else _existing_file(place) as store:
        yield store


def _postgres(url: PostgresUrl) -> AbstractAsyncContextManager[Store]:
    from titan.store.postgres.opening import open_postgres_store  # noqa: PLC0415  (its driver costs 0.1 s)

    return open_postgres_store(url)


@asynccontextmanager
async def _existing_file(path: Path) -> AsyncIterator[Store]:
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
