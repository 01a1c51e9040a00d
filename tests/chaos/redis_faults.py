"""What happens to Redis: the instances stay ready, say that they are degraded and why, and answer everything.

A `Fault` as those of PostgreSQL are, so that `tests.chaos.round` judges everything else as well: answers, histories,
processes, restarts. What is promised of Redis itself is judged here, and found in `findings`.
"""

import http.client
import json
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from tests.chaos.installation import Installation
from tests.chaos.round import Fault, Readiness, Report
from tests.support.redis import RedisServer
from tests.support.redis_cluster import Cluster
from tests.support.redis_sentinel import Watched
from tests.support.waiting import wait_until

NOTICED_S = 2.0
BACK_S = 2.0


class RedisFault(Fault):
    """Redis is away in some way, for `held_s`."""

    readiness = Readiness.KEPT
    held_s = 2.5  # more than two attempts to connect

    noticed_s = 0.0
    back_s = 0.0
    told: Sequence[dict[str, Any]] = ()
    """What readiness said of Redis, for each instance, once it was away."""

    def begin(self, on: Installation) -> None:
        """Let it happen, and wait until every instance has said so."""
        begun_s = time.monotonic()
        self.harm()
        self._wait(on, "degraded", within_s=10)
        self.noticed_s = time.monotonic() - begun_s
        self.told = [readiness(instance.port)["checks"]["redis"] for instance in on.instances]

    def end(self, on: Installation) -> None:
        """Undo it, and wait until every instance has said so."""
        self.mend()
        mended_s = time.monotonic()
        self._wait(on, "ready", within_s=10)
        self.back_s = time.monotonic() - mended_s

    @abstractmethod
    def harm(self) -> None:
        """Do it."""

    @abstractmethod
    def mend(self) -> None:
        """Undo it; from its return on Redis answers."""

    def findings(self, report: Report) -> list[str]:
        """See `Fault`."""
        found = []
        if report.exceeds(self.noticed_s, NOTICED_S):
            found.append(f"degraded only after {self.noticed_s:.2f} s")
        if report.exceeds(self.back_s, BACK_S):
            found.append(f"ready only {self.back_s:.2f} s after Redis was back")
        if report.refused > report.requests / 1000:
            found.append(f"{report.refused} of {report.requests} requests were refused")
        found += [
            f"readiness does not say that Redis is away and why: {check}"
            for check in self.told
            if check["status"] != "degraded" or not check["detail"].startswith("away: ")
        ]
        return found

    @staticmethod
    def _wait(on: Installation, status: str, *, within_s: float) -> None:
        def say_so() -> bool:
            return all(readiness(instance.port)["status"] == status for instance in on.instances)

        wait_until(say_so, within_s=within_s, what=f"{status} at all instances")


def readiness(port: int) -> dict[str, Any]:
    """Return the body of `/health/ready`."""
    return _get(port, "/health/ready")


def metric(port: int, line: str) -> float | None:
    """Return the value of a metric's line; None: it is absent."""
    for text in _text(port, "/metrics").splitlines():
        if text.startswith(f"{line} "):
            return float(text.rpartition(" ")[2])
    return None


def _get(port: int, path: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(_text(port, path))
    return body


def _text(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


class RedisKilled(RedisFault):
    title = "Redis killed (-9)"
    says = "Connection refused"

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis

    def harm(self) -> None:
        self._redis.kill()

    def mend(self) -> None:
        self._redis.start()


class RedisFrozen(RedisKilled):
    title = "Redis frozen (SIGSTOP)"
    says = "no answer in time"

    def harm(self) -> None:
        self._redis.freeze()

    def mend(self) -> None:
        self._redis.thaw()


class RedisUnlike(Fault):
    """Redis is there and not what it was: nobody may notice but by the speed."""

    readiness = Readiness.KEPT
    held_s = 1.5

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis

    def findings(self, report: Report) -> list[str]:
        """See `Fault`."""
        return [f"{report.refused} of {report.requests} requests were refused"] if report.refused else []


class RedisFlushed(RedisUnlike):
    title = "Redis flushed again and again"

    def begin(self, on: Installation) -> None:
        self._flush()

    def end(self, on: Installation) -> None:
        self._flush()

    def _flush(self) -> None:
        for _ in range(20):
            self._redis.flushall()


class RedisFull(RedisUnlike):
    title = "Redis has no memory left and refuses writes"

    def begin(self, on: Installation) -> None:
        self._redis.cli("CONFIG", "SET", "maxmemory", "1")

    def end(self, on: Installation) -> None:
        self._redis.cli("CONFIG", "SET", "maxmemory", "0")


class RedisEvicting(RedisUnlike):
    title = "Redis evicts what it likes"

    def begin(self, on: Installation) -> None:
        self._redis.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        self._redis.cli("CONFIG", "SET", "maxmemory", str(int(self._redis.info("used_memory")) + (64 << 10)))

    def end(self, on: Installation) -> None:
        self._redis.cli("CONFIG", "SET", "maxmemory", "0")
        self._redis.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")


_NOT_OURS = """
for _, key in ipairs(redis.call('KEYS', 'titan:*')) do redis.call('DEL', key) redis.call('RPUSH', key, 'not ours') end
"""


class RedisMistaken(RedisUnlike):
    """Another program uses our keys for something else."""

    title = "values of other types under our keys in Redis"

    def begin(self, on: Installation) -> None:
        self._redis.cli("EVAL", _NOT_OURS, "0")

    def end(self, on: Installation) -> None:
        self.begin(on)


class SentinelsFailOver(RedisFault):
    """The master dies and the Sentinels make another server the master; nobody tells the instances."""

    title = "Redis' master killed, Sentinels fail over"
    held_s = 0.0

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._old = watched.master

    def harm(self) -> None:
        self._old = self._watched.master
        self._old.kill()

    def mend(self) -> None:
        self._watched.wait_for_another_master(self._old)


class SentinelsFailOverToNothing(SentinelsFailOver):
    """What the new master has of ours is nothing."""

    title = "Redis' master killed, Sentinels fail over to an empty replica"

    def harm(self) -> None:
        self._watched.master.flushall()  # its replicas' too
        super().harm()


class ClusterNodeLost(RedisFault):
    """A master dies and its replica takes over."""

    title = "a master of the Redis cluster killed, its replica takes over"
    held_s = 0.0

    def __init__(self, nodes: Cluster) -> None:
        self._nodes = nodes
        self._lost = nodes.masters()[0]

    def harm(self) -> None:
        self._lost = self._nodes.masters()[0]
        self._lost.kill()

    def mend(self) -> None:
        self._nodes.wait_for_another_master(self._lost)


class ClusterSlotsMoved(Fault):
    """An operator moves slots from one master to another, and back."""

    title = "slots of the Redis cluster moved to another master"
    readiness = Readiness.KEPT

    def __init__(self, nodes: Cluster, slots: int = 200) -> None:
        self._nodes = nodes
        self._slots = slots

    def begin(self, on: Installation) -> None:
        first, second, *_ = self._nodes.masters()
        self._nodes.move_slots(first, second, self._slots)

    def end(self, on: Installation) -> None:
        first, second, *_ = self._nodes.masters()
        self._nodes.move_slots(second, first, self._slots)

    def findings(self, report: Report) -> list[str]:
        """See `Fault`."""
        return [f"{report.refused} of {report.requests} requests were refused"] if report.refused else []


class BothAway(Fault):
    """Redis and PostgreSQL are killed and come back, Redis first or last."""

    says = "Connection refused"

    def __init__(self, redis: RedisServer, *, redis_first: bool) -> None:
        self.title = f"Redis and PostgreSQL killed, {'Redis' if redis_first else 'PostgreSQL'} is back first"
        self._redis = redis
        self._redis_first = redis_first

    def begin(self, on: Installation) -> None:
        self._redis.kill()
        on.postgres.kill()

    def end(self, on: Installation) -> None:
        starts: list[Callable[[], object]] = [self._redis.start, on.postgres.start]
        for start in starts if self._redis_first else reversed(starts):
            start()
