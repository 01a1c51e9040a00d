"""The store on PostgreSQL: the drivers' thread, the pools and the actors that keep them."""

from supervisors.actors.cache import CacheActor
from supervisors.actors.change_feed import ChangeFeedActor
from supervisors.actors.database import DatabaseActor
from supervisors.actors.island import IslandActor
from supervisors.actors.replica import ReplicaActor
from supervisors.backends import Actor, Postgres, Surroundings
from titan.cache.memory import Memory
from titan.cache.shared import Shared
from titan.cache.store import CoherentStore
from titan.cache.tail import Tail
from titan.coordination.on_postgres import PostgresElection
from titan.coordination.on_redis import RedisElection
from titan.island import Island
from titan.redis.client import Redis
from titan.redis.limits import Limits as RedisLimits
from titan.redis.tls import Tls
from titan.settings import Settings
from titan.store.postgres.database import Database
from titan.store.postgres.limits import Limits
from titan.store.postgres.replica import Replica, make_replica
from titan.store.postgres.role import Primary
from titan.store.postgres.url import PostgresUrl, named


def postgres(settings: Settings, url: PostgresUrl, around: Surroundings) -> Postgres:
    """Wire the store; nothing is connected yet."""
    url = named(url, around.instance_id)
    limits = Limits(pool_size=settings.database.pool_size, statement_s=settings.database.statement_timeout_s)
    observe_wait = around.metrics.watch_pool(
        available=lambda: database.statistics.available, size=lambda: database.statistics.open
    )
    island = Island()
    replica = _replica(settings, island, around.instance_id)
    role = Primary(lag=None if replica is None else replica.lag)
    database = Database(url, limits, role=role, observe_wait=observe_wait)
    memory = Memory(settings.cache.memory_bytes)
    tail = Tail(on_named=memory.named, on_begin=memory.clear)
    redis = _redis(settings, island)
    shared = None if redis is None else Shared(redis, settings.cache.ttl_s)
    store = CoherentStore(island, database, tail, memory, shared, replica)
    around.metrics.watch_caches(
        requests=lambda: store.requests, memory_bytes=lambda: memory.bytes, feed_lag_s=lambda: tail.lag_s
    )
    island_actor = IslandActor(island)
    database_actor = DatabaseActor(island, database, around.new_check("database"), on_unfit=around.on_unfit)
    change_feed = ChangeFeedActor(
        store.feed, tail, around.new_check("change_feed"), listen=None if shared is None else shared.listen
    )
    store.on_wrote = change_feed.poke
    return Postgres(
        store=store,
        election=PostgresElection(store.leases) if redis is None else RedisElection(redis),
        island=island_actor,
        database=database_actor,
        replica=None if replica is None else _replica_actor(settings, island, replica, around),
        redis=redis,
        cache=None if redis is None or shared is None else _cache(redis, shared, around),
        change_feed=change_feed,
        place=str(url),
        is_alive=island_actor.is_alive,
    )


def _redis(settings: Settings, island: Island) -> Redis | None:
    redis = settings.redis
    url = redis.parsed_url
    if url is None:
        return None
    tls = Tls(redis.tls_ca, redis.tls_cert, redis.tls_key) if url.is_tls else None
    return Redis(island, url, RedisLimits(timeout_s=redis.timeout_s), tls=tls)


def _cache(redis: Redis, shared: Shared, around: Surroundings) -> Actor:
    actor = CacheActor(redis, around.new_check("redis"), fill=shared.fill)
    around.metrics.watch_redis(lambda: actor.connected_clients)
    return actor


def _replica(settings: Settings, island: Island, instance_id: str) -> Replica | None:
    url = settings.database.replica_url
    if url is None:
        return None
    return make_replica(
        island,
        named(url, instance_id),
        pool_size=settings.database.pool_size,
        max_lag_s=settings.database.replica_max_lag_s,
    )


def _replica_actor(settings: Settings, island: Island, replica: Replica, around: Surroundings) -> ReplicaActor:
    around.metrics.watch_replica(lambda: replica.lag.behind_s)
    return ReplicaActor(island, replica, around.new_check("replica"), max_lag_s=settings.database.replica_max_lag_s)
