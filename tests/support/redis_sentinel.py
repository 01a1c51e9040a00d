"""A master, two replicas and three Sentinels that watch them, all real."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.redis import RedisServer
from tests.support.redis_programs import Process, cli, free_port, make_folder, program
from tests.support.waiting import wait_until

MASTER = "mymaster"
DOWN_AFTER_MS = 500


class Sentinel(Process):
    """One Sentinel."""

    def __init__(self, master_port: int) -> None:
        self.port = free_port()
        folder = make_folder()
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"sentinel monitor {MASTER} 127.0.0.1 {master_port} 2",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} 3000",
            f"sentinel parallel-syncs {MASTER} 2",
        ]
        (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
        super().__init__(folder, [program("redis-sentinel"), str(folder / "sentinel.conf")])

    def start(self) -> None:
        """Start it; return once it answers."""
        super().start()
        self.wait_for(self.port, "PING", answer="PONG")

    def cli(self, *command: str) -> str:
        """Give it one command."""
        return cli(self.port, *command)

    def master_port(self) -> int:
        """Return the port of the server that it takes for the master."""
        return int(self.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER).split()[-1])

    def knows(self, *, sentinels: int, replicas: int) -> bool:
        """Say whether it has found all others, which a fail-over needs."""
        words = self.cli("SENTINEL", "MASTER", MASTER).split()
        about = dict(zip(words[::2], words[1::2], strict=False))
        return (about.get("num-other-sentinels"), about.get("num-slaves")) == (str(sentinels - 1), str(replicas))


@dataclass(slots=True)
class Watched:
    """The servers and their Sentinels."""

    servers: list[RedisServer]
    sentinels: list[Sentinel] = field(default_factory=list)

    def url(self, *, login: str = "", database: int = 0) -> str:
        """Return the URL as the operator's guide writes it."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis://{login and login + '@'}{hosts}/{database}?sentinelMaster={MASTER}"

    @property
    def processes(self) -> list[Process]:
        """All of it."""
        return [*self.servers, *self.sentinels]

    @property
    def master(self) -> RedisServer:
        """The server that most Sentinels take for the master."""
        ports = [sentinel.master_port() for sentinel in self.sentinels if sentinel.is_running]
        port = max(ports, key=ports.count)
        return next(server for server in self.servers if server.port == port)

    def wait_for_another_master(self, than: RedisServer) -> RedisServer:
        """Return the new master once all Sentinels that run agree on it and it takes writes."""

        def all_agree() -> bool:
            ports = {sentinel.master_port() for sentinel in self.sentinels if sentinel.is_running}
            return len(ports) == 1 and than.port not in ports and self.master.info("role") == "master"

        wait_until(all_agree, within_s=20, what="the fail-over")
        return self.master


@contextlib.contextmanager
def sentinels() -> Iterator[Watched]:
    """Run it all; removed at the end."""
    master = RedisServer()
    watched = Watched([master])
    try:
        master.start()
        for _ in range(2):
            replica = RedisServer(replicaof=f"127.0.0.1 {master.port}")
            watched.servers.append(replica)
            replica.start()
        wait_until(lambda: master.info("connected_slaves") == "2", what="replication")
        for _ in range(3):
            watched.sentinels.append(Sentinel(master.port))
            watched.sentinels[-1].start()
        wait_until(
            lambda: all(one.knows(sentinels=3, replicas=2) for one in watched.sentinels),
            within_s=20,
            what="the Sentinels' acquaintance",
        )
        yield watched
    finally:
        for process in watched.processes:
            process.remove()
