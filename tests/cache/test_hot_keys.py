"""A thousand documents, two whole instances, a Redis, writes all the time: no ordinary read is older than a second, and
no session goes back, whichever instance it asks.

The instances are made worse on purpose: much of what they read comes late to who asked, so that other writes overtake
it. What is in a cache and wrong stays there once nobody writes, and is then asked for.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.chaos import sabotaged
from tests.chaos.installation import Installation, installed
from tests.chaos.redis_faults import metric
from tests.support.clients import Kind
from tests.support.history import History, read_all, recording
from tests.support.postgres import Postgres
from tests.support.redis import RedisServer, running_redis
from tests.support.staleness import BOUND_S

KEYS = 1000
CLIENTS = 16
MIX = {Kind.RECENT: 12, Kind.PUT: 6, Kind.GET: 1, Kind.SWAP: 1, Kind.DELETE: 1}
AT_LEAST_S = 4.0
AT_LEAST = 1000
ROUNDS = 6  # on a busy machine little overtakes, and a round may meet nothing that is wrong
SLOW = "slow"


@contextlib.contextmanager
def serving(postgres: Postgres, folder: Path, redis: RedisServer, *sabotage: str) -> Iterator[Installation]:
    settings: Mapping[str, str] = {
        "SABOTAGE": ",".join(sabotage),
        "SLOW_WHILE": str(folder / SLOW),
        "REDIS_URL": redis.url(),
    }
    with installed(postgres, folder, settings=settings, program=sabotaged.PROGRAM) as here:
        yield here


def load(here: Installation, *, seed: int) -> History:
    """Have clients write and read, then read everything once more."""
    with recording(here.urls, seed=seed, clients=CLIENTS, keys=KEYS, pause_s=0.0, mix=MIX, fill=True) as history:
        history.wait_for(KEYS, within_s=30)
        (here.folder / SLOW).touch()
        begun_s = time.monotonic()
        history.wait_for(AT_LEAST, within_s=30)
        time.sleep(max(begun_s + AT_LEAST_S - time.monotonic(), 0))
    (here.folder / SLOW).unlink()
    time.sleep(BOUND_S)
    read_all(history, Kind.RECENT)
    return history


def hits(here: Installation, tier: str) -> float:
    line = f'titan_cache_requests_total{{outcome="hit",tier="{tier}"}}'
    return sum(metric(instance.port, line) or 0 for instance in here.instances)


def test_no_read_is_too_old_and_no_session_goes_back(postgres, tmp_path):
    with running_redis() as redis, serving(postgres, tmp_path, redis, "slow") as here:
        history = load(here, seed=1)
        assert min(hits(here, tier) for tier in ("memory", "redis")) > 50
    assert history.findings() == []


def test_without_the_check_of_what_was_named_since_one_is(postgres, tmp_path):
    with running_redis() as redis, serving(postgres, tmp_path, redis, "slow", "unnamed") as here:
        assert any(load(here, seed=seed).stale() for seed in range(ROUNDS))
