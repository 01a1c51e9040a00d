"""What tests of several folders share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import Place
from tests.support.postgres import Postgres
from tests.support.postgres_store import fresh_database, shared_server


def pytest_configure() -> None:
    """Have SIGTERM end a run as Ctrl-C does, so that fixtures end the servers that they have started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL for all tests that leave it alive; each makes a database of its own in it."""
    with shared_server() as server:
        yield server


@pytest.fixture
def embedded(tmp_path: Path) -> Place:
    """Servers with the embedded store, each with a folder of its own."""
    return Place(tmp_path)


@pytest.fixture
def shared(tmp_path: Path, postgres: Postgres) -> Iterator[Place]:
    """Servers that share one PostgreSQL database."""
    with fresh_database(postgres) as name:
        yield Place(tmp_path, postgres.url(name))


@pytest.fixture(params=["embedded", "shared"])
def place(request: pytest.FixtureRequest) -> Place:
    """Either."""
    found: Place = request.getfixturevalue(request.param)
    return found
