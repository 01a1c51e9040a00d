"""What the checklist is judged by: facts, or for each source that could not be asked the reason why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from titan.redis.standing import Standing as RedisStanding
from titan.store.postgres.standing import Standing as DatabaseStanding

Document = Mapping[str, Any]
"""A decoded JSON object from elsewhere: nothing in it is sure to be there."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """This could not be found out, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """There is no database server: one process on a file."""


@dataclass(frozen=True, slots=True)
class NoRedis:
    """No Redis is configured."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one URL answered to `GET /health/ready`."""

    url: str
    """Without a login that may be in it."""
    said: str
    """`ready`, `degraded`, `unready`, or why there is no such answer."""

    @property
    def serves(self) -> bool:
        """Whether it would be given requests."""
        return self.said in ("ready", "degraded")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Documents of one Kubernetes namespace, as its API gave them."""

    namespace: str
    documents: tuple[Document, ...]

    def of(self, kind: str) -> list[Document]:
        """Return the documents of one kind."""
        return [document for document in self.documents if document.get("kind") == kind]


@dataclass(frozen=True, slots=True)
class Watcher:
    """What a Prometheus has loaded and watches."""

    groups: tuple[Document, ...]
    targets: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it."""

    database: DatabaseStanding | Embedded | Unknown
    redis: RedisStanding | NoRedis | Unknown
    instances: tuple[Asked, ...]
    """The URLs that were given; empty: none were."""
    balancer: Asked | None
    """None: no URL of it was given."""
    cluster: Cluster | Unknown
    watcher: Watcher | Unknown
    pool_size: int
    max_instances: int | None
    """How many there may be at most, where that was given; else the HPA is asked."""
