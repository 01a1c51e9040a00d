"""A database of its own for each test, and the store opened on it."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres
from tests.support.postgres_store import fresh_database, opened


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    with fresh_database(postgres) as name:
        yield name


@pytest.fixture
def url(postgres: Postgres, database: str) -> str:
    return postgres.url(database)


@pytest.fixture
async def it(url):
    async with opened(url) as stores:
        yield stores
