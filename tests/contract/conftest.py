"""Which stores the contract is tested on. A store joins by a class of `Backend`'s shape and its name in BACKENDS."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Protocol

import pytest
import trio

from tests.support.postgres import Postgres
from tests.support.postgres_store import (
    PATIENT,
    assert_files_are_whole,
    assert_no_row_without_its_document,
    opened,
)
from tests.support.postgres_store import (
    fresh_database as fresh_postgres,
)
from tests.support.session_store import opened_session
from tests.support.sqlite_files import fresh_database
from titan.store.contract import Store
from titan.store.sqlite.check import findings
from titan.store.sqlite.store import open_sqlite_store


class Backend(Protocol):
    """One database, empty at first, and what the suite needs to do to it behind the store's back."""

    def open(self) -> AbstractAsyncContextManager[Store]:
        """Open the store; several may be open on the one database, like several instances of the server."""

    async def age_idempotency_records(self, seconds: float) -> None:
        """Make every idempotency record older than it is."""

    async def age_cursors(self, seconds: float) -> None:
        """Make every durable cursor as if it had been kept so much earlier."""

    async def age_sync_sources(self, seconds: float) -> None:
        """Make every source as if its last pull had begun so much earlier."""

    async def forget_when_sync_sources_began(self) -> None:
        """Make every source as the program before left it."""

    async def add_old_idempotency_records(self, number: int) -> None:
        """Add so many records of long ago."""

    def assert_sound(self) -> None:
        """See that nothing is half there, after the test."""


class SqliteBackend:
    def __init__(self, folder: Path) -> None:
        self.path = fresh_database(folder / "titan.db")

    def open(self):
        return open_sqlite_store(self.path)

    async def age_idempotency_records(self, seconds: float) -> None:
        self._run("UPDATE idempotency SET created_ms = created_ms - ?", int(seconds * 1000))

    async def age_cursors(self, seconds: float) -> None:
        self._run("UPDATE cursor SET kept_ms = kept_ms - ?", int(seconds * 1000))

    async def age_sync_sources(self, seconds: float) -> None:
        self._run("UPDATE sync_source SET begun_ms = begun_ms - ?", int(seconds * 1000))

    async def forget_when_sync_sources_began(self) -> None:
        self._run("UPDATE sync_source SET begun_ms = NULL")

    def _run(self, sql: str, *values: int) -> None:
        with closing(sqlite3.connect(self.path)) as db:
            db.execute(sql, values)
            db.commit()

    async def add_old_idempotency_records(self, number: int) -> None:
        with closing(sqlite3.connect(self.path)) as db:
            rows = [(b"old %d" % each, b"", 1, 1, 1, 1) for each in range(number)]
            db.executemany("INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?)", rows)
            db.commit()

    def assert_sound(self) -> None:
        """The test's contents are no JSON everywhere; all else has to be as it should."""
        assert [line for line in findings(self.path) if "JSON" not in line] == []


class PostgresBackend:
    def __init__(self, server: Postgres, database: str) -> None:
        self._server = server
        self._database = database

    @asynccontextmanager
    async def open(self):
        async with opened(self._server.url(self._database), limits=PATIENT) as it:
            yield it.store

    async def age_idempotency_records(self, seconds: float) -> None:
        await self._run(f"UPDATE titan_idempotency SET created_ms = created_ms - {int(seconds * 1000)}")

    async def age_cursors(self, seconds: float) -> None:
        await self._run(f"UPDATE titan_cursor SET kept_ms = kept_ms - {int(seconds * 1000)}")

    async def age_sync_sources(self, seconds: float) -> None:
        await self._run(f"UPDATE titan_sync_source SET begun_ms = begun_ms - {int(seconds * 1000)}")

    async def forget_when_sync_sources_began(self) -> None:
        await self._run("UPDATE titan_sync_source SET begun_ms = NULL")

    async def _run(self, sql: str) -> None:
        await trio.to_thread.run_sync(self._server.psql, sql, self._database)

    async def add_old_idempotency_records(self, number: int) -> None:
        sql = (
            "INSERT INTO titan_idempotency SELECT ('old ' || n)::bytea, '', 1, 1, 1, 1"
            f" FROM generate_series(1, {number}) AS n"
        )
        await self._run(sql)

    def assert_sound(self) -> None:
        assert_no_row_without_its_document(self._server, self._database)
        assert_files_are_whole(self._server, self._database)


class ReplicatedBackend(PostgresBackend):
    """Each store is one session, which reads from a standby whenever that shows what it has seen."""

    def __init__(self, server: Postgres, database: str, standby: Postgres) -> None:
        super().__init__(server, database)
        self._standby = standby

    @asynccontextmanager
    async def open(self):
        async with opened_session(self._server.url(self._database), self._standby.url(self._database)) as store:
            yield store


BACKENDS = ("sqlite", "postgres")

SESSIONS = ("test_documents", "test_marks", "test_model")
"""What is also tested as one session beside a replica: what it reads has to be as if it read the primary."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames and not hasattr(metafunc.module, "backend"):  # it may have its own
        is_for_sessions = metafunc.module.__name__.rpartition(".")[2] in SESSIONS
        metafunc.parametrize("backend", (*BACKENDS, "replicated") if is_for_sessions else BACKENDS, indirect=True)


@pytest.fixture(scope="session")
def standby(postgres: Postgres) -> Iterator[Postgres]:
    made = postgres.standby(synchronous=False)
    yield made
    made.remove()


@contextmanager
def made(name: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Backend]:
    """One of them by its name, with a fresh database, which must be sound at the end."""
    backend: Backend
    with ExitStack() as stack:
        if name == "replicated":
            server, standby = request.getfixturevalue("postgres"), request.getfixturevalue("standby")
            backend = ReplicatedBackend(server, stack.enter_context(fresh_postgres(server)), standby)
        elif name == "postgres":
            server = request.getfixturevalue("postgres")
            backend = PostgresBackend(server, stack.enter_context(fresh_postgres(server)))
        else:
            backend = SqliteBackend(folder)
        yield backend
        backend.assert_sound()


@pytest.fixture
def backend(request, tmp_path):
    with made(request.param, request, tmp_path) as backend:
        yield backend


@pytest.fixture
async def store(backend) -> AsyncIterator[Store]:
    async with backend.open() as opened:
        yield opened
