"""The operator's guide's drawing as processes of this machine: three instances, and what stands around them.

Made of the same starters that tests use (`tests/support`, `tests/chaos/installation.py`); `./dev cluster` runs it for
people, `guided` gives it to tests.
"""

import contextlib
import re
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.installation import Installation, installed
from tests.support import nginx, prometheus
from tests.support.postgres import Postgres, running_server
from tests.support.redis_sentinel import Watched, sentinels
from tests.support.server import Server

INSTANCES = 3
ROLE = "cleanup-worker"
DATABASE = "titan"
POOL_SIZE = 20
_SERVER = {"max_connections": str(INSTANCES * (POOL_SIZE + 2) + 20)}


@dataclass(frozen=True, slots=True)
class Cluster:
    """All of it, ready."""

    installation: Installation
    replica: Postgres
    redis: Watched
    url: str
    """Where clients reach it: nginx."""
    prometheus: str
    """Where Prometheus is, which asks the instances."""

    @property
    def instances(self) -> list[Server]:
        """The instances, `titan-1` first."""
        return self.installation.instances

    def leader(self) -> str:
        """Return the name of the instance that leads; empty: nobody does just now."""
        return next((name_of(instance) for instance in self.instances if _leads(instance)), "")


def name_of(instance: Server) -> str:
    """Return an instance's name, which is also its id."""
    return instance.data_dir.name


def _leads(instance: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{instance.url}/metrics", timeout=1) as answer:
            metrics = answer.read().decode()
    except OSError:  # it has ended, or does not answer: whoever leads instead says so
        return False
    return re.search(rf'^titan_leader_status\{{role="{ROLE}"\}} 1(\.0)?$', metrics, re.MULTILINE) is not None


@contextlib.contextmanager
def guided(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Run it for the time of the block. `settings` are further ones of the instances."""
    with (
        running_server(**_SERVER) as primary,
        primary.followed(synchronous=False) as replica,
        sentinels() as redis,
        installed(
            primary,
            folder,
            instances=INSTANCES,
            database=DATABASE,
            url=lambda name: _either(primary, replica, name),
            read_url=replica.url,
            settings={
                "REDIS_URL": redis.url(),
                "TITAN_DATABASE__POOL_SIZE": str(POOL_SIZE),
                "TITAN_HTTP__TRUSTED_PROXIES": "127.0.0.1",
                **(settings or {}),
            },
        ) as installation,
        nginx.balancing(folder / "nginx", ports := [instance.port for instance in installation.instances]) as url,
        prometheus.watching(folder / "prometheus", ports) as watcher,
    ):
        primary.psql("GRANT pg_monitor TO titan")  # so that `titan ha check` sees how the replica is
        yield Cluster(installation, replica, redis, url, watcher.url)
        for instance in installation.instances:
            instance.thaw()  # whatever was done to it


def _either(primary: Postgres, replica: Postgres, name: str) -> str:
    """Return a URL that goes on being right when the replica is promoted."""
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{replica.port}"
    return f"postgresql://titan@{hosts}/{name}?target_session_attrs=read-write"
