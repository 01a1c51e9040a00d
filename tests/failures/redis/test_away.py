"""Redis dies or freezes under load: slower, never wrong, and nobody but readiness and a metric tells.

What holds of every fault is said, and judged, in tests/chaos/round.py; what is promised of Redis in
tests/chaos/redis_faults.py. Afterwards the same two processes serve the next test.
"""

import time
from collections.abc import Sequence

import pytest

from tests.chaos.redis_faults import (
    BothAway,
    RedisEvicting,
    RedisFlushed,
    RedisFrozen,
    RedisFull,
    RedisKilled,
    RedisMistaken,
    metric,
    readiness,
)
from tests.chaos.round import QUICK, play
from tests.chaos.watch import Metronome
from tests.support.clients import Request
from tests.support.history import recording
from tests.support.waiting import wait_until

UP = 'titan_up_dependency{name="redis"}'


@pytest.mark.parametrize("fault", [RedisKilled, RedisFrozen])
def test_redis_away_under_load(here, fault):
    report = play(here.installation, fault(here.redis), QUICK, seed=1)

    assert report.findings == []
    assert report.slowest_s < 1.0 + report.lag_s


@pytest.mark.parametrize("fault", [RedisFlushed, RedisFull, RedisEvicting, RedisMistaken])
def test_redis_there_but_not_what_it_was(here, fault):
    report = play(here.installation, fault(here.redis), QUICK, seed=4)

    assert report.findings == []


def test_the_metrics_say_it(here):
    port = here.installation.instances[0].port
    wait_until(lambda: (metric(port, "redis_connected_clients") or 0) >= 2)
    assert metric(port, UP) == 1
    here.redis.kill()
    wait_until(lambda: metric(port, UP) == 0, within_s=2)
    assert metric(port, "redis_connected_clients") is None
    assert readiness(port)["status"] == "degraded"
    here.redis.start()
    wait_until(lambda: metric(port, UP) == 1, within_s=2)
    wait_until(lambda: metric(port, "redis_connected_clients") is not None)


@pytest.mark.parametrize("redis_first", [True, False])
def test_redis_and_postgresql_both_away_and_back_in_either_order(here, redis_first):
    report = play(here.installation, BothAway(here.redis, redis_first=redis_first), QUICK, seed=2)

    assert report.findings == []
    assert report.refused > 0


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_an_instance_starts_and_serves_with_redis_away_and_finds_it_when_it_comes(here, how):
    getattr(here.redis, how)()
    instance = here.installation.add_instance()
    try:
        instance.wait_ready()
        assert readiness(instance.port)["status"] == "degraded"
        (here.redis.start if how == "kill" else here.redis.thaw)()
        wait_until(lambda: readiness(instance.port)["status"] == "ready", within_s=2.5)
        assert here.installation.restarts() == 0
    finally:
        here.installation.instances.remove(instance)
        instance.stop()
    assert instance.exit_code == 0


CLIENTS = 8
ENOUGH = 250 * CLIENTS


def test_a_frozen_redis_costs_nobody_more_than_a_moment(here):
    """The 99th percentile of all requests, from the moment on in which nobody knows yet that it is frozen."""
    with Metronome() as metronome, recording(here.installation.urls, seed=3, clients=CLIENTS, pause_s=0.002) as history:
        history.wait_for(400)
        before_s = time.monotonic()
        history.wait_for(ENOUGH)
        frozen_s = time.monotonic()
        here.redis.freeze()
        history.wait_for(ENOUGH)  # of which each client waits once, when nobody knows yet
        thawed_s = time.monotonic()
        here.redis.thaw()
    before, during = history.between(before_s, frozen_s), history.between(frozen_s, thawed_s)
    assert sum(not request.is_served for request in during) <= len(during) / 1000
    assert p99_s(during) <= 3 * p99_s(before) + metronome.worst_s


def p99_s(requests: Sequence[Request]) -> float:
    took_s = sorted(request.took_s for request in requests)
    return took_s[len(took_s) * 99 // 100]
