"""What is broken: one PostgreSQL database and the instances that serve it, all real processes of this machine."""

import contextlib
import http.client
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.postgres import Postgres
from tests.support.server import PROGRAM, Server
from titan.store.migrations import on_postgres
from titan.store.postgres.url import parse

POOL_SIZE = 8
_PROBES = 2  # connections of an instance besides its pool: to look at the server, and to follow the changes

_ITS_END = "LeashRanOut"

_numbers = itertools.count(1)


@dataclass(slots=True)
class Installation:
    """Instances over one database. `postgres` is the server that holds it now: a fail-over moves it."""

    postgres: Postgres
    database: str
    folder: Path
    settings: Mapping[str, str]
    program: Sequence[str] = PROGRAM
    instances: list[Server] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        """Where clients reach the instances."""
        return [instance.url for instance in self.instances]

    def add_instance(self) -> Server:
        """Start one more; the caller waits until it is ready."""
        name = f"titan-{next(_numbers)}"
        instance = Server(self.folder / name, settings=self._settings(name), program=self.program)
        self.instances.append(instance)
        return instance

    def restart_instance(self, number: int) -> Server:
        """Start an instance that ended anew, on its port."""
        before = self.instances[number]
        self.instances[number] = Server(
            before.data_dir, port=before.port, settings=self._settings(before.data_dir.name), program=self.program
        )
        return self.instances[number]

    def _settings(self, name: str) -> dict[str, str]:
        own = {"TITAN_INSTANCE_ID": name, "TITAN_LOG_FORMAT": "json"}
        return {"TITAN_DATABASE__POOL_SIZE": str(POOL_SIZE), **own, **self.settings}

    def restarts(self) -> int:
        """Return how often supervisors had to restart anything in all instances."""
        return sum(_restarts(_tree(instance)) for instance in self.instances)

    def connections(self) -> list[str]:
        """Return the state of every session that the instances have in the database."""
        found = self.postgres.psql(
            "SELECT coalesce(state, '') FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
            self.database,
        )
        return found.splitlines()

    def end_sessions(self) -> None:
        """End every session of the instances, as an administrator may."""
        sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        self.postgres.psql(f"{sessions} AND pid <> pg_backend_pid()", self.database)

    def documents(self) -> set[str]:
        """Return the ids of all Submodels that the database holds."""
        return set(self.postgres.psql("SELECT id FROM titan_document WHERE kind = 2", self.database).splitlines())

    def leaks(self, *, within_s: float = 3.0) -> str:
        """Say what the instances still hold in the database when nobody asks them for anything; empty: nothing."""
        deadline, most = time.monotonic() + within_s, len(self.instances) * (POOL_SIZE + _PROBES)
        while True:
            states = self.connections()
            busy = [state for state in states if state != "idle"]
            if len(states) <= most and not busy:
                return ""
            if time.monotonic() > deadline:
                return f"{len(states)} sessions (at most {most} may be), of them not idle: {busy}"
            time.sleep(0.05)

    def stop_all(self) -> None:
        """Stop those that run, all at once; each has to end in order."""
        running = [instance for instance in self.instances if instance.exit_code is None]
        for instance in running:
            instance.terminate()
        for instance in running:
            assert instance.wait() == 0, f"a drained server must exit with 0:\n{instance.logs()}"

    def kill_all(self) -> None:
        """End every instance, however it is."""
        for instance in self.instances:
            instance.kill()
            instance.wait()


def _tree(instance: Server) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/system/tree")
        tree: dict[str, Any] = json.loads(connection.getresponse().read())
        return tree


def _restarts(node: dict[str, Any]) -> int:
    """Count them; a term of office that ends with its lease is none, as long as nothing in it failed."""
    is_term = node["path"].startswith("titan/leadership") and (node["last_error"] or _ITS_END).startswith(_ITS_END)
    return (0 if is_term else int(node["restarts"])) + sum(map(_restarts, node["children"]))


@contextlib.contextmanager
def installed(
    postgres: Postgres,
    folder: Path,
    *,
    instances: int = 2,
    url: Callable[[str], str] | None = None,
    read_url: Callable[[str], str] | None = None,
    settings: Mapping[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
    prepare: Callable[[str], None] = lambda _: None,
    database: str = "",
) -> Iterator[Installation]:
    """Make a database with the schema in a running server and serve it for the time of the block.

    `url` and `read_url` make the instances' URLs of the database's name; `prepare` gets that name before they start. A
    failing block carries the instances' output as notes.
    """
    database = database or f"chaos_{next(_numbers)}"
    own = postgres.create_database(database)
    on_postgres.upgrade(parse(own))
    prepare(database)
    chosen = {"DATABASE_URL": url(database) if url else own, **(settings or {})}
    if read_url is not None:
        chosen["DATABASE_READ_URL"] = read_url(database)
    here = Installation(postgres, database, folder, chosen, program)
    with contextlib.ExitStack() as closing:
        closing.callback(here.kill_all)
        for _ in range(instances):
            here.add_instance()
        try:
            for instance in here.instances:
                instance.wait_ready()
            yield here
        except BaseException as error:
            for instance in here.instances:
                error.add_note(f"output of {instance.data_dir.name}:\n{instance.logs()[-6000:]}")
            raise
        here.stop_all()
