"""Servers for the tests of this folder; what harms one starts it again."""

from collections.abc import Iterator

import pytest

from tests.support.redis import RedisServer, running_redis


@pytest.fixture(scope="session")
def _shared() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
def server(_shared: RedisServer) -> RedisServer:
    """A server that is up and empty."""
    return _shared.make_well()
