"""A primary and a standby for tests of replica reads; and servers to do harm to."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.postgres import Postgres, running_server
from tests.support.postgres_store import fresh_database
from titan.store.migrations import on_postgres
from titan.store.postgres.url import parse


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    with running_server() as server:
        yield server


@pytest.fixture
def name(primary: Postgres) -> Iterator[str]:
    with fresh_database(primary) as name:
        yield name


@pytest.fixture(scope="module")
def shared_standby(primary: Postgres) -> Iterator[Postgres]:
    with ExitStack() as stack:
        made = primary.standby(synchronous=False)
        stack.callback(made.remove)
        yield made


@pytest.fixture
def standby(shared_standby: Postgres) -> Iterator[Postgres]:
    """One that goes on following after the test."""
    yield shared_standby
    shared_standby.psql("SELECT pg_wal_replay_resume()")


@pytest.fixture
def doomed(primary: Postgres, name: str) -> Iterator[Postgres]:
    """One to do harm to."""
    made = primary.standby(synchronous=False)
    yield made
    made.remove()


@pytest.fixture
def trio_of_servers() -> Iterator[tuple[Postgres, Postgres, Postgres]]:
    """A primary with a database `titan`, and two standbys of it."""
    with ExitStack() as stack:
        one = stack.enter_context(running_server())
        on_postgres.upgrade(parse(one.create_database("titan")))
        others = []
        for _ in range(2):
            others.append(one.standby(synchronous=False))
            stack.callback(others[-1].remove)
        yield one, others[0], others[1]
