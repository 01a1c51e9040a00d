"""The rate limit in the whole process, alone and of two over one Redis."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support.places import Place
from tests.support.redis import RedisServer, running_redis
from tests.support.server import Server, free_port, serving
from tests.support.waiting import wait_until


def test_a_limit_is_set_counted_and_told(tmp_path):
    admin = free_port()
    settings = {
        "TITAN_SECURITY__REQUESTS_PER_MINUTE": "2",
        "TITAN_HTTP__ADMIN_PORT": str(admin),
        "TITAN_LOG_FORMAT": "json",
    }
    with serving(tmp_path / "data", settings=settings) as server, httpx.Client() as client:
        asked = [client.get(f"{server.url}/shells") for _ in range(3)]
        assert [answer.status_code for answer in asked] == [200, 200, 429]
        assert asked[0].headers["RateLimit"] == '"client";r=1;t=30'
        assert 1 <= int(asked[2].headers["Retry-After"]) <= 30
        for _ in range(3):
            assert client.get(f"{server.url}/health/live").status_code == 200
            assert client.get(f"http://127.0.0.1:{admin}/nothing").status_code == 404
        scraped = client.get(f"http://127.0.0.1:{admin}/metrics").text.splitlines()
        name = "titan_rate_limit_requests_total"
        assert f'{name}{{counted_by="local",outcome="granted"}} 2.0' in scraped
        assert f'{name}{{counted_by="local",outcome="refused"}} 1.0' in scraped
        wait_until(lambda: '"because":"more than 2 requests a minute"' in server.logs(), what="the reason in the log")


def test_without_a_limit_there_is_neither_metric_nor_field(tmp_path):
    with serving(tmp_path / "data") as server:
        assert "ratelimit" not in httpx.get(f"{server.url}/shells").headers
        assert "titan_rate_limit" not in httpx.get(f"{server.url}/metrics").text


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@contextmanager
def two(shared: Place, redis: RedisServer, **settings: str) -> Iterator[tuple[Server, Server]]:
    """Two instances over one database and one Redis; each client may send 30 requests a minute."""
    settings = {
        "REDIS_URL": redis.url(),
        "TITAN_SECURITY__REQUESTS_PER_MINUTE": "30",
        "TITAN_HTTP__TRUSTED_PROXIES": "127.0.0.0/8",
        **settings,
    }
    with shared.serving("a", **settings) as a, shared.serving("b", **settings) as b:
        for server in (a, b):
            wait_for_redis(server, "up")
        yield a, b


def wait_for_redis(server: Server, status: str) -> None:
    """Return once the instance says so of Redis."""

    def is_so() -> bool:
        checks = httpx.get(f"{server.url}/health/ready", timeout=5).json()["checks"]
        return bool(checks["redis"]["status"] == status)

    wait_until(is_so, what=f"redis {status}")


def granted(servers: tuple[Server, ...], requests: int, client: str) -> int:
    """Send so many by turns as one client; return how many were granted. No answer may be another than 200 and 429."""
    with httpx.Client(headers={"X-Forwarded-For": client}, timeout=5) as http:
        urls = (f"{servers[n % len(servers)].url}/shells" for n in range(requests))
        statuses = [http.get(url).status_code for url in urls]
    assert set(statuses) <= {200, 429}
    return statuses.count(200)


def test_two_instances_count_together_and_each_client_for_itself(shared, redis):
    with two(shared, redis) as servers:
        began = time.monotonic()
        passed = granted(servers, 50, "192.0.2.1")
        assert 30 <= passed <= 30 + (time.monotonic() - began) / 2 + 1
        assert granted(servers, 20, "192.0.2.2") == 20
        redis.flushall()
        assert granted(servers, 20, "192.0.2.1") == 20


def test_without_redis_every_request_passes_in_bounded_time(shared, redis):
    with two(shared, redis) as servers:
        assert granted(servers, 50, "192.0.2.1") < 50
        redis.freeze()
        began = time.monotonic()
        assert granted(servers, 100, "192.0.2.1") == 100
        assert time.monotonic() - began < 5
        for server in servers:
            wait_for_redis(server, "degraded")
        redis.thaw()
        for server in servers:
            wait_for_redis(server, "up")
        assert granted(servers, 50, "192.0.2.1") < 50


def test_without_redis_each_process_counts_for_itself_if_told_to(shared, redis):
    with two(shared, redis, TITAN_SECURITY__ON_REDIS_LOSS="local") as servers:
        redis.kill()
        began = time.monotonic()
        passed = granted(servers, 100, "192.0.2.1")
        assert 60 <= passed <= 60 + (time.monotonic() - began) + 2
