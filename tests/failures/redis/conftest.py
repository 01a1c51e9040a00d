"""Two instances over one PostgreSQL and one Redis; each test gives them back well."""

from collections.abc import Iterator

import pytest

from tests.chaos.redis_faults import readiness
from tests.chaos.redis_rigs import WithRedis, with_redis
from tests.support.redis import RedisServer
from tests.support.waiting import wait_until


@pytest.fixture(scope="session")
def _shared(tmp_path_factory) -> Iterator[WithRedis[RedisServer]]:
    with with_redis(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture
def here(_shared: WithRedis[RedisServer]) -> WithRedis[RedisServer]:
    """All of it is well."""
    ports = [instance.port for instance in _shared.installation.instances]
    wait_until(lambda: all(readiness(port)["status"] == "ready" for port in ports), what="ready")
    return _shared
