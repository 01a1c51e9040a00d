"""Looks at everything that the checklist is about, all at the same time, each within its time.

Nothing is changed anywhere. What is away, slow or refuses becomes an `Unknown` with the reason: this never fails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import trio

from titan.ha.evidence import Asked, Embedded, Evidence, NoRedis, Unknown
from titan.ha.kubectl import namespace_seen
from titan.ha.web import Fetch, health, prometheus
from titan.redis.contract import Unreachable
from titan.redis.standing import Standing as RedisStanding
from titan.redis.standing import standing as redis_standing
from titan.redis.tls import Tls
from titan.settings import Settings
from titan.store.contract import StoreDamaged, StoreUnavailable
from titan.store.postgres.standing import Standing as DatabaseStanding
from titan.store.postgres.standing import standing as database_standing

T = TypeVar("T")

GRACE_S = 1.0
"""What the inner deadlines are given to speak for themselves before the outer one cuts them off."""

NO_SETTINGS = Unknown("DATABASE_URL is not set here, and there is no embedded store either")
"""Else a machine from which one only looks would pass for an installation without a database."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look besides what the settings name; empty or None: nowhere."""

    instances: tuple[str, ...] = ()
    balancer: str | None = None
    prometheus: str | None = None
    namespace: str | None = None
    """None: the one that kubectl uses by itself."""
    max_instances: int | None = None


class _Look(Generic[T]):
    """Something that is looked at in a thread of its own, and what was seen once the nursery is done."""

    def __init__(self, nursery: trio.Nursery, within_s: float, looking: Callable[[], T | Unknown]) -> None:
        self.seen: T | Unknown = Unknown(f"no answer within {within_s:g} s")
        nursery.start_soon(self._look, within_s + GRACE_S, looking)

    async def _look(self, within_s: float, looking: Callable[[], T | Unknown]) -> None:
        with trio.move_on_after(within_s):
            # The thread may hang in the resolver: it is left behind then, and its answer is nobody's.
            self.seen = await trio.to_thread.run_sync(looking, abandon_on_cancel=True)


async def gather(settings: Settings, places: Places, fetch: Fetch, *, within_s: float) -> Evidence:
    """Look at all of it; returns after at most `within_s` and a second."""
    async with trio.open_nursery() as nursery:
        database: _Look[DatabaseStanding | Embedded] = _Look(nursery, within_s, partial(_database, settings, within_s))
        redis: _Look[RedisStanding | NoRedis] = _Look(nursery, within_s, partial(_redis, settings, within_s))
        cluster = _Look(nursery, within_s, partial(namespace_seen, places.namespace, within_s=within_s))
        watcher = _Look(nursery, within_s, partial(prometheus, fetch, places.prometheus))
        instances = [(url, _Look(nursery, within_s, partial(health, fetch, url))) for url in places.instances]
        balancer = places.balancer and (
            places.balancer,
            _Look(nursery, within_s, partial(health, fetch, places.balancer)),
        )
    return Evidence(
        database=database.seen,
        redis=redis.seen,
        instances=tuple(_said(url, look.seen) for url, look in instances),
        balancer=_said(balancer[0], balancer[1].seen) if balancer else None,
        cluster=cluster.seen,
        watcher=watcher.seen,
        pool_size=settings.database.pool_size,
        max_instances=places.max_instances,
    )


def _said(url: str, seen: Asked | Unknown) -> Asked:
    return Asked(url, seen.reason.removeprefix(f"{url} ")) if isinstance(seen, Unknown) else seen


def _database(settings: Settings, within_s: float) -> DatabaseStanding | Embedded | Unknown:
    url = settings.database.postgres_url
    if url is None:
        return _embedded(settings)
    try:
        return database_standing(url, within_s=within_s)
    except (StoreUnavailable, StoreDamaged) as error:
        return Unknown(str(error))


def _embedded(settings: Settings) -> Embedded | Unknown:
    path = settings.database.sqlite_path
    try:
        return Embedded() if path.exists() else NO_SETTINGS
    except OSError as error:  # a folder of another user, say
        return Unknown(f"whether there is a store at {path} cannot be seen: {error.strerror}")


def _redis(settings: Settings, within_s: float) -> RedisStanding | NoRedis | Unknown:
    redis = settings.redis
    url = redis.parsed_url
    if url is None:
        store = None if settings.database.postgres_url is not None else _embedded(settings)
        return store if isinstance(store, Unknown) else NoRedis()
    tls = Tls(redis.tls_ca, redis.tls_cert, redis.tls_key) if url.is_tls else None
    try:
        return redis_standing(url, tls=tls, within_s=within_s)
    except Unreachable as error:
        return Unknown(f"Redis cannot be asked: {error.reason}")
