"""Real Redis servers for tests: started, killed, frozen, flushed, restarted; always cleaned up.

Everything here blocks; a test with a running loop calls the slow parts in a worker thread.
"""

import contextlib
from collections.abc import Iterator
from typing import Self

from tests.support.redis_programs import Process, cli, free_port, make_folder, program

QUICK = {
    "save": "",  # nothing tested here outlives the process
    "appendonly": "no",
    "repl-diskless-sync-delay": "0",
    "maxclients": "500",
}


class RedisServer(Process):
    """One server on loopback, empty at each start."""

    def __init__(self, port: int = 0, /, **settings: str) -> None:
        self.port = port or free_port()
        self.settings = {"bind": "127.0.0.1", "port": str(self.port), **QUICK, **settings}
        words = [word for name, value in self.settings.items() for word in (f"--{name}", value)]
        super().__init__(make_folder(), [program("redis-server"), *words])

    def url(self, *, login: str = "", database: int = 0) -> str:
        """Return its URL."""
        return f"redis://{login and login + '@'}127.0.0.1:{self.port}/{database}"

    def start(self, *, wait: bool = True) -> Self:  # type: ignore[override]
        """Start it; with `wait`, return once it answers."""
        super().start()
        if wait:
            self.wait_for(self.port, "PING", answer="PONG")
        return self

    def restart(self) -> None:
        """Kill it and start it again, empty."""
        self.kill()
        self.start()

    def make_well(self) -> Self:
        """Have it up and empty, whatever a test did to it."""
        if not self.is_running:
            self.start()
        self.thaw()
        self.flushall()
        return self

    def cli(self, *command: str) -> str:
        """Give it one command; return what redis-cli printed, an error answer too."""
        return cli(self.port, *command)

    def flushall(self) -> None:
        """Delete everything."""
        assert self.cli("FLUSHALL") == "OK"

    def info(self, name: str) -> str:
        """Return one line of INFO."""
        lines = dict(line.split(":", 1) for line in self.cli("INFO", "everything").splitlines() if ":" in line)
        return lines[name]


@contextlib.contextmanager
def running_redis(**settings: str) -> Iterator[RedisServer]:
    """A server of one's own, started, and removed at the end."""
    server = RedisServer(**settings)
    try:
        yield server.start()
    finally:
        server.remove()
