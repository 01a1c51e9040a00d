"""A cluster of three masters with a replica each, all real."""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.redis import RedisServer
from tests.support.redis_programs import free_port, program
from tests.support.waiting import wait_until

NODE_TIMEOUT_MS = 1000


@dataclass(frozen=True, slots=True)
class Node:
    """A line of CLUSTER NODES."""

    id: str
    port: int
    flags: frozenset[str]
    master: str
    slots: tuple[str, ...]


@dataclass(slots=True)
class Cluster:
    """Its nodes, by the order of their start."""

    nodes: list[RedisServer]

    def url(self, *, login: str = "") -> str:
        """Return the URL as the operator's guide writes it, with the first three nodes."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:3])
        return f"redis://{login and login + '@'}{hosts}/0?cluster=true"

    def known(self) -> list[Node]:
        """Return what a node that runs knows of all."""
        asked = next(node for node in self.nodes if node.is_running)
        found = []
        for line in asked.cli("CLUSTER", "NODES").splitlines():
            name, address, flags, master, _, _, _, _, *slots = line.split()
            port = int(address.partition("@")[0].rpartition(":")[2])
            found.append(Node(name, port, frozenset(flags.split(",")), master, tuple(slots)))
        return found

    def node(self, port: int) -> RedisServer:
        """Return the node at a port."""
        return next(node for node in self.nodes if node.port == port)

    def owner(self, key: str) -> RedisServer:
        """Return the master that has a key's slot."""
        slot = int(self.any().cli("CLUSTER", "KEYSLOT", key))
        for known in self.known():
            for slots in known.slots:
                first, _, last = slots.partition("-")
                if first.isdigit() and int(first) <= slot <= int(last or first):
                    return self.node(known.port)
        raise AssertionError(f"nobody has slot {slot}")

    def any(self) -> RedisServer:
        """Return a node that runs."""
        return next(node for node in self.nodes if node.is_running)

    def id(self, node: RedisServer) -> str:
        """Return a node's name in the cluster."""
        return node.cli("CLUSTER", "MYID")

    def masters(self) -> list[RedisServer]:
        """Return the masters that are well."""
        return [
            self.node(known.port) for known in self.known() if "master" in known.flags and not known.flags & {"fail"}
        ]

    def move_slots(self, source: RedisServer, target: RedisServer, count: int) -> None:
        """Move slots, with what is in them, from one master to another."""
        _cluster_command(
            "reshard",
            f"127.0.0.1:{source.port}",
            *("--cluster-from", self.id(source)),
            *("--cluster-to", self.id(target)),
            *("--cluster-slots", str(count)),
            "--cluster-yes",
        )

    def wait_until_ok(self, *, nodes: int = 6) -> None:
        """Return once every node that runs says that the cluster is well, and knows all others."""

        def is_ok(node: RedisServer) -> bool:
            info = node.cli("CLUSTER", "INFO")
            return "cluster_state:ok" in info and f"cluster_known_nodes:{nodes}" in info

        running = [node for node in self.nodes if node.is_running]
        wait_until(lambda: all(map(is_ok, running)), within_s=30, what="the cluster")

    def wait_for_another_master(self, than: RedisServer) -> None:
        """Return once every node knows that another one has a lost master's slots."""

        def has_taken_over(node: RedisServer) -> bool:
            lines = node.cli("CLUSTER", "NODES").splitlines()
            lost = next(line for line in lines if f":{than.port}@" in line)
            return (
                " master,fail " in lost
                and lost.endswith("connected")
                and "cluster_state:ok" in node.cli("CLUSTER", "INFO")
            )

        running = [node for node in self.nodes if node.is_running]
        wait_until(lambda: all(map(has_taken_over, running)), within_s=30, what="the fail-over")

    def wait_for_replicas(self) -> None:
        """Return once every replica follows its master: without, none of them may take over."""
        replicas = [node for node in self.nodes if node.is_running and node.info("role") == "slave"]
        wait_until(lambda: all(node.info("master_link_status") == "up" for node in replicas), within_s=20)


@contextlib.contextmanager
def cluster(**settings: str) -> Iterator[Cluster]:
    """Run it all; removed at the end."""
    nodes = [
        RedisServer(
            **{
                "cluster-enabled": "yes",
                "cluster-port": str(free_port()),
                "cluster-node-timeout": str(NODE_TIMEOUT_MS),
                "cluster-replica-validity-factor": "0",
                **settings,
            }
        )
        for _ in range(6)
    ]
    here = Cluster(nodes)
    try:
        for node in nodes:
            node.start()
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        _cluster_command("create", *addresses, "--cluster-replicas", "1", "--cluster-yes")
        here.wait_until_ok()
        here.wait_for_replicas()
        yield here
    finally:
        for node in nodes:
            node.remove()


def _cluster_command(*words: str) -> None:
    done = subprocess.run(
        [program("redis-cli"), "--cluster", *words], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
