"""Installations with a Redis of each kind."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tests.chaos.installation import Installation
from tests.chaos.rigs import plain
from tests.support.redis import RedisServer, running_redis
from tests.support.redis_cluster import Cluster, cluster
from tests.support.redis_sentinel import Watched, sentinels

R = TypeVar("R", RedisServer, Watched, Cluster)


@dataclass(frozen=True, slots=True)
class WithRedis(Generic[R]):
    """An installation and its Redis."""

    installation: Installation
    redis: R


@contextlib.contextmanager
def with_redis(folder: Path) -> Iterator[WithRedis[RedisServer]]:
    """One Redis server."""
    with running_redis() as redis, plain(folder, settings={"REDIS_URL": redis.url()}) as here:
        yield WithRedis(here, redis)


@contextlib.contextmanager
def with_sentinels(folder: Path) -> Iterator[WithRedis[Watched]]:
    """A master, two replicas, three Sentinels."""
    with sentinels() as redis, plain(folder, settings={"REDIS_URL": redis.url()}) as here:
        yield WithRedis(here, redis)


@contextlib.contextmanager
def with_cluster(folder: Path) -> Iterator[WithRedis[Cluster]]:
    """Three masters with a replica each."""
    with cluster() as redis, plain(folder, settings={"REDIS_URL": redis.url()}) as here:
        yield WithRedis(here, redis)
