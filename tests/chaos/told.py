"""Clients follow events while instances, PostgreSQL and Redis are killed under them: what was committed is all told."""

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.installation import Installation
from tests.chaos.redis_rigs import with_redis
from tests.chaos.round import Report
from tests.support.documents import shell
from tests.support.events import pages
from tests.support.redis import RedisServer
from tests.support.tireless import Tireless, TirelessSocket
from titan.model.identifiers import encode_identifier

EVENTS = 35_000
"""Of one round: three rounds, the default, make more than 100,000."""

WRITERS = 6
FOLLOWERS = (Tireless, TirelessSocket, Tireless, TirelessSocket)
DOCUMENTS = 40
BETWEEN_S = (3.0, 8.0)
WITHIN_S = 480.0
HEARD_WITHIN_S = 30.0
WAYS = 6
"""In which `hurt` hurts."""


@dataclass(slots=True)
class Writers:
    """Replace a few documents again and again, at any instance."""

    on: Installation
    written: int = 0
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, number: int, seed: int) -> None:
        """Write until stopped; a failure is no reason to stop."""
        rng = random.Random(seed + number)
        while not self.stopped.is_set():
            instance = rng.choice(self.on.instances)
            connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=5)
            try:
                for _ in range(50):
                    self._write(connection, f"urn:told:{rng.randrange(DOCUMENTS)}")
            except (OSError, http.client.HTTPException):
                self.stopped.wait(0.1)
            finally:
                connection.close()

    def _write(self, connection: http.client.HTTPConnection, document_id: str) -> None:
        path = f"/shells/{encode_identifier(document_id)}"
        connection.request("PUT", path, json.dumps(shell(document_id)), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status in {201, 204}:
            revision = int((answer.headers["ETag"] or "").strip('"').split("-")[0])
            self.acknowledged.append((document_id, revision))
        elif self.stopped.wait(0.05):
            return


@dataclass(frozen=True, slots=True)
class Told:
    """The scenario."""

    title: str = "events followed while instances, PostgreSQL and Redis are killed"
    needs: str = ""
    events: int = EVENTS

    def play(self, folder: Path, seeds: Sequence[int], keep: Callable[[Report, Installation | None], None]) -> None:
        """Play a round per seed on one installation."""
        with with_redis(folder) as rig:
            for seed in seeds:
                keep(self._round(rig.installation, rig.redis, seed), rig.installation)

    def _round(self, here: Installation, redis: RedisServer, seed: int) -> Report:
        rng = random.Random(seed)
        with followed(here, seed) as followed_by:
            began = time.monotonic()
            while len(followed_by.writers.acknowledged) < self.events and time.monotonic() - began < WITHIN_S:
                time.sleep(rng.uniform(*BETWEEN_S))
                hurt(here, redis, rng.randrange(WAYS))
        return followed_by.judge(self.title, seed, wanted=self.events)


def cursor_now(here: Installation) -> str:
    """Return the cursor of now."""
    connection = http.client.HTTPConnection("127.0.0.1", here.instances[0].port, timeout=5)
    connection.request("GET", "/events?wait=0")
    text = connection.getresponse().read().decode()
    connection.close()
    return text.partition('"cursor":"')[2].partition('"')[0]


def hurt(here: Installation, redis: RedisServer, which: int) -> None:
    """Kill an instance, PostgreSQL or Redis, and bring it back; or restart an instance in order."""
    match which:
        case 0 | 1 as number:
            here.instances[number].kill()
            here.instances[number].wait()
            here.restart_instance(number).wait_ready()
        case 2:
            here.postgres.kill()
            here.postgres.start()
        case 3 | 4:
            here.instances[which - 3].stop()
            here.restart_instance(which - 3).wait_ready()
        case _:
            redis.restart()


@dataclass(slots=True)
class Followed:
    """Writers at work, and those who follow what they do."""

    here: Installation
    start: str
    writers: Writers
    followers: Sequence[Tireless]

    def judge(self, title: str, seed: int, *, wanted: int) -> Report:
        """Compare what each follower heard with what the database has to tell."""
        for instance in self.here.instances:
            instance.wait_ready()
        truth, findings = heard_all(self.here.urls[0], self.start, self.followers)
        acknowledged = self.writers.acknowledged
        report = Report(title, seed, requests=len(truth), acknowledged=len(acknowledged), ready_s=0.0)
        told = {(subject, revision) for _, subject, revision in truth}
        report.lost = [f"{subject} at {revision}" for subject, revision in set(acknowledged) - told]
        if report.lost:
            report.findings.append(f"{len(report.lost)} acknowledged writes have no event: {report.lost[:3]}")
        if len(truth) < wanted:
            report.findings.append(f"only {len(truth):,} events of {wanted:,}: the round proves too little")
        report.findings += findings
        return report


Truth = set[tuple[str, str, int]]
"""Id, subject and revision of each event."""


def heard_all(url: str, start: str, followers: Sequence[Tireless]) -> tuple[Truth, list[str]]:
    """Wait until all have heard what this instance has to tell behind a cursor; return that, and what is wrong."""
    truth = {(event["id"], event["subject"], int(event["revision"])) for event in pages(url, start, limit=1000)}
    deadline = time.monotonic() + HEARD_WITHIN_S
    while any(truth - set(each.heard) for each in followers) and time.monotonic() < deadline:
        time.sleep(0.2)
    for each in followers:
        each.stop()
    return truth, [
        f"follower {number} ({type(each).__name__}) {finding}"
        for number, each in enumerate(followers)
        for finding in faults(each, truth)
    ]


def faults(follower: Tireless, truth: Truth) -> Iterator[str]:
    """Yield what is wrong with what one of them heard."""
    if gap := truth - set(follower.heard):
        yield f"missed {len(gap)} events: {sorted(gap)[:3]}"
    if wrong := follower.out_of_order():
        yield f"heard {len(wrong)} documents' events out of order: {wrong[:3]}"
    yield from (f"was refused: {text}" for text in follower.refused[:3])
    if follower.streams < 2:
        yield "had one stream only: nothing was resumed"


@contextmanager
def followed(here: Installation, seed: int) -> Iterator[Followed]:
    """Write, and follow, for the time of the block."""
    start = cursor_now(here)
    writers = Writers(here)
    followers = [kind(lambda: here.urls, start, first=number) for number, kind in enumerate(FOLLOWERS)]
    threads = [threading.Thread(target=writers.run, args=(n, seed), daemon=True) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield Followed(here, start, writers, followers)
    finally:
        writers.stopped.set()
        for thread in threads:
            thread.join(15)
