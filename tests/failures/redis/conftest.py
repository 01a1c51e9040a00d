"""Two instances over one PostgreSQL and one Redis; each test gives them back well."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.chaos.installation import Installation, installed
from tests.chaos.redis_faults import readiness
from tests.chaos.rigs import QUICK_SERVER
from tests.support.postgres import running_server
from tests.support.redis import RedisServer, running_redis
from tests.support.waiting import wait_until


@dataclass(frozen=True, slots=True)
class WithRedis:
    """An installation and its Redis."""

    installation: Installation
    redis: RedisServer


@pytest.fixture(scope="session")
def _shared(tmp_path_factory) -> Iterator[WithRedis]:
    folder = tmp_path_factory.mktemp("redis")
    with contextlib.ExitStack() as closing:
        redis = closing.enter_context(running_redis())
        server = closing.enter_context(running_server(**QUICK_SERVER))
        yield WithRedis(closing.enter_context(installed(server, folder, settings={"REDIS_URL": redis.url()})), redis)


@pytest.fixture
def here(_shared: WithRedis) -> WithRedis:
    """All of it is well."""
    ports = [instance.port for instance in _shared.installation.instances]
    wait_until(lambda: all(readiness(port)["status"] == "ready" for port in ports), what="ready")
    return _shared
