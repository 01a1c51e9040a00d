"""Where an instance keeps its documents: the store, the actors that work for it and how it shows itself.

Two kinds, chosen by DATABASE_URL; everything above sees the one contract (`titan.store.contract`).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from supervisors.actors.change_feed import ChangeFeedActor
from supervisors.kernel import Context
from titan.coordination.election import Election
from titan.redis.client import Redis
from titan.settings import Settings
from titan.store.contract import Store
from titan.store.schema import SchemaUnfit
from titan.telemetry.health import Check
from titan.telemetry.metrics import Metrics


class Actor(Protocol):
    """What a child of the tree runs."""

    async def run(self, ctx: Context) -> None:
        """Work until cancelled."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """One SQLite file and the process that writes it."""

    store: Store
    election: Election
    sqlite_writer: Actor
    change_feed: ChangeFeedActor
    place: str
    """The file, for people."""

    def is_alive(self) -> bool:
        """Nothing of it can hang without its actor's notice."""
        return True


@dataclass(frozen=True, slots=True)
class Postgres:
    """One PostgreSQL database, which other instances may share."""

    store: Store
    election: Election
    """In Redis where there is one, else in the database."""
    island: Actor
    database: Actor
    replica: Actor | None
    """None where no read replica is configured."""
    redis: Redis | None
    """None: there is none."""
    cache: Actor | None
    """Keeps `redis`."""
    change_feed: ChangeFeedActor
    place: str
    """The URL without its password, for people."""
    is_alive: Callable[[], bool]
    """Does the thread of the drivers turn: a stuck one is mended by a new process only."""


Backend = Embedded | Postgres


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a backend's actors tell of it, and to whom."""

    instance_id: str
    new_check: Callable[[str], Check]
    """Makes a check by its name in `/health/ready`; only what is configured has one."""
    metrics: Metrics
    on_unfit: Callable[[SchemaUnfit], None]
    """Called where the database turns out to have a schema that this program must not serve."""


@asynccontextmanager
async def open_backend(settings: Settings, around: Surroundings) -> AsyncIterator[Backend]:
    """Take what the backend needs for itself alone; nothing of it runs yet.

    The embedded store is made or migrated here; PostgreSQL is not even asked. Raises `DataFolderUnusable`,
    `AlreadyServed`, `StoreDamaged`, `SchemaUnfit` or `UpgradeFailed`.
    """
    url = settings.database.postgres_url
    # Imported only now: the drivers of the one are of no use to the other and cost time and memory at the start.
    if url is None:
        from supervisors.backends.embedded import embedded  # noqa: PLC0415

        async with embedded(settings.database.sqlite_path, around) as backend:
            yield backend
    else:
        from supervisors.backends.postgres import postgres  # noqa: PLC0415

        yield postgres(settings, url, around)
