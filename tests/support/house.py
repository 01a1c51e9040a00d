"""A small installation to try operators' commands on: two instances, PostgreSQL, Redis, each of which can be harmed.

The second instance reaches PostgreSQL and Redis through proxies, so that it alone can be cut off.
"""

import contextlib
import http.client
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from tests.support.documents import shell
from tests.support.leaders import QUICK
from tests.support.postgres import Postgres, running_server
from tests.support.postgres_programs import programs
from tests.support.postgres_store import fresh_database
from tests.support.proxy import Proxy, proxied
from tests.support.redis import RedisServer, running_redis
from tests.support.redis_programs import program
from tests.support.server import Server, clean_environment, serving
from tests.support.waiting import wait_until

POOL_SIZE = 8
SETTINGS = {**QUICK, "TITAN_DATABASE__POOL_SIZE": str(POOL_SIZE), "TITAN_LOG_FORMAT": "console"}
COMMAND_WITHIN_S = 60

# What stands in for an operator's installed program and usual port.
PROGRAMS = {
    "titan": f'exec "{sys.executable}" -P -m titan "$@"',
    "redis-cli": f'exec "{program("redis-cli")}" -p "$REDIS_PORT" "$@"',
}


@dataclass
class House:
    """All of it, and one context manager for each thing that can happen to it."""

    postgres: Postgres
    redis: RedisServer
    database: str
    first: Server
    second: Server
    walls: tuple[Proxy, Proxy]
    folder: Path
    second_settings: Mapping[str, str]

    def environment(self) -> Mapping[str, str]:
        """Return the variables that the runbook asks operators to set."""
        return {
            **clean_environment(),
            "PATH": os.pathsep.join((str(self.folder / "bin"), os.environ["PATH"], str(programs()))),
            "INSTANCE": self.first.url,
            "OTHER": self.second.url,
            "DB_HOST": self.postgres.host,
            "PGHOST": self.postgres.host,
            "PGPORT": str(self.postgres.port),
            "PGUSER": "titan",
            "PGDATABASE": self.database,
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.redis.port),
            "DATABASE_URL": self.postgres.url(self.database),
            "REDIS_URL": self.redis.url(),
        }

    def run(self, commands: str) -> str:
        """Run a block of shell as an operator would; return everything that it printed, exit code last."""
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", f'{commands}\necho "exit code $?"'],
            env=dict(self.environment()),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_WITHIN_S,
            check=False,
        )
        return done.stdout

    @contextlib.contextmanager
    def in_state(self, state: str) -> Iterator[None]:
        """Have it in this state for the time of the block, and well again after."""
        states: Mapping[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
            "well": contextlib.nullcontext,
            "database down": self._database_down,
            "database full": self._database_full,
            "pool in use": self._pool_in_use,
            "redis down": self._redis_down,
            "second cut off": self._second_cut_off,
            "second killed": self._second_killed,
            "no servers": self._no_servers,
        }
        with states[state]():
            yield
        self.wait_until_well()

    @contextlib.contextmanager
    def _no_servers(self) -> Iterator[None]:
        """Have the commands work on a database that nobody serves."""
        served = self.database
        with fresh_database(self.postgres) as name:
            self.database = name
            try:
                yield
            finally:
                self.database = served

    def wait_until_well(self) -> None:
        """Return once both are ready and one leads."""
        for server in (self.first, self.second):
            self._wait_for("ready", server)
        self._wait_for_leader(self.first, self.second)

    def _wait_for(self, status: str, *servers: Server) -> None:
        said = f'{{"status":"{status}"'
        for server in servers:
            wait_until(partial(self._says, server, said), within_s=10, what=f"{status} of {server.url}")

    def _says(self, server: Server, beginning: str) -> bool:
        return self._readiness(server).startswith(beginning)

    @staticmethod
    def _readiness(server: Server) -> str:
        return _get(server, "/health/ready")

    def _wait_for_leader(self, *servers: Server) -> None:
        wait_until(lambda: any(map(_leads, servers)), what="a leader")

    @contextlib.contextmanager
    def _database_down(self) -> Iterator[None]:
        self.postgres.kill()
        try:
            self._wait_for("unready", self.first, self.second)
            yield
        finally:
            self.postgres.start()

    @contextlib.contextmanager
    def _database_full(self) -> Iterator[None]:
        self.postgres.psql("ALTER ROLE titan CONNECTION LIMIT 2")
        self.postgres.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'titan'")
        try:
            wait_until(lambda: "too many connections" in self._readiness(self.first), what="refused connections")
            yield
        finally:
            self.postgres.psql("ALTER ROLE titan CONNECTION LIMIT -1")

    @contextlib.contextmanager
    def _pool_in_use(self) -> Iterator[None]:
        ended = threading.Event()
        client = httpx.Client()

        def ask() -> None:
            while not ended.is_set():
                client.get(f"{self.first.url}/shells", headers={"Cache-Control": "no-cache"}, timeout=10)

        lock = "BEGIN; LOCK TABLE titan_document IN ACCESS EXCLUSIVE MODE"
        threads = [threading.Thread(target=ask) for _ in range(2 * POOL_SIZE)]
        with self.postgres.session(lock, self.database, user="titan"):
            for thread in threads:
                thread.start()
            try:
                wait_until(
                    lambda: "pg_pool_available_connections 0" in _get(self.first, "/metrics"), what="a pool in use"
                )
                yield
            finally:
                ended.set()
        for thread in threads:
            thread.join()
        client.close()

    @contextlib.contextmanager
    def _redis_down(self) -> Iterator[None]:
        self.redis.kill()
        try:
            self._wait_for("degraded", self.first, self.second)
            wait_until(lambda: not (_leads(self.first) or _leads(self.second)), what="the end of the term")
            yield
        finally:
            self.redis.start()

    @contextlib.contextmanager
    def _second_cut_off(self) -> Iterator[None]:
        for wall in self.walls:
            wall.cut()
        try:
            self._wait_for("unready", self.second)
            self._wait_for_leader(self.first)
            yield
        finally:
            for wall in self.walls:
                wall.heal()

    @contextlib.contextmanager
    def _second_killed(self) -> Iterator[None]:
        before = self.second
        before.kill()
        before.wait()
        try:
            self._wait_for_leader(self.first)
            yield
        finally:
            self.second = Server(before.data_dir, port=before.port, settings=self.second_settings)
            self.second.wait_ready()


def _get(server: Server, path: str) -> str:
    """Ask cheaply: what is asked every few milliseconds should not cost a new client of httpx each time."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def _leads(server: Server) -> bool:
    return 'titan_leader_status{role="cleanup-worker"} 1' in _get(server, "/metrics")


@contextlib.contextmanager
def house(folder: Path) -> Iterator[House]:
    """Run it all; one twin is in it."""
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(running_server())
        redis = stack.enter_context(running_redis())
        database = stack.enter_context(fresh_database(postgres))
        walls = (stack.enter_context(proxied(postgres.port)), stack.enter_context(proxied(redis.port)))
        direct = {"DATABASE_URL": postgres.url(database), "REDIS_URL": redis.url()}
        behind = {
            "DATABASE_URL": f"postgresql://titan@127.0.0.1:{walls[0].port}/{database}",
            "REDIS_URL": f"redis://127.0.0.1:{walls[1].port}/0",
        }
        settings = {**SETTINGS, **behind, "TITAN_INSTANCE_ID": "titan-2"}
        first = stack.enter_context(
            serving(folder / "1", settings={**SETTINGS, **direct, "TITAN_INSTANCE_ID": "titan-1"})
        )
        second = Server(folder / "2", settings=settings)
        here = House(postgres, redis, database, first, second, walls, folder, settings)
        stack.callback(lambda: here.second.stop())  # noqa: PLW0108  (the second may be another one by then)
        second.wait_ready()
        (folder / "bin").mkdir()
        for name, line in PROGRAMS.items():
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
            (folder / "bin" / name).chmod(0o755)
        assert httpx.post(f"{first.url}/shells", json=shell("urn:house:1")).status_code == 201
        here.wait_until_well()
        yield here
