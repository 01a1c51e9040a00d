"""The store on PostgreSQL: the drivers' thread, the pool and the actors that keep both."""

from supervisors.actors.database import DatabaseActor
from supervisors.actors.island import IslandActor
from supervisors.backends import Postgres, Surroundings
from titan.island import Island
from titan.settings import Settings
from titan.store.postgres.database import Database
from titan.store.postgres.limits import Limits
from titan.store.postgres.store import PostgresStore
from titan.store.postgres.url import PostgresUrl


def postgres(settings: Settings, url: PostgresUrl, around: Surroundings) -> Postgres:
    """Wire the store; nothing is connected yet."""
    limits = Limits(pool_size=settings.database.pool_size, statement_s=settings.database.statement_timeout_s)
    observe_wait = around.metrics.watch_pool(
        available=lambda: database.statistics.available, size=lambda: database.statistics.open
    )
    island = Island()
    database = Database(url, limits, observe_wait=observe_wait)
    island_actor = IslandActor(island)
    database_actor = DatabaseActor(island, database, around.new_check("database"), on_unfit=around.on_unfit)
    return Postgres(PostgresStore(island, database), island_actor, database_actor, str(url), island_actor.is_alive)
