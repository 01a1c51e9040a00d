"""What tests of several folders share."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres
from tests.support.postgres_store import shared_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL for all tests that leave it alive; each makes a database of its own in it."""
    with shared_server() as server:
        yield server
