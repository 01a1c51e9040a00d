"""kill -9 at random moments under load: no acknowledged write is lost, none is half there.

kill -9 keeps what the kernel has in its cache, so this shows the order of COMMIT and acknowledgement, and recovery;
that the COMMIT itself reaches the disk is shown by the fsyncs that are counted elsewhere.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.support import kill_load
from tests.support.sqlite_files import fresh_database
from titan.store.contract import Changes, Kind, Stored
from titan.store.sqlite.check import findings
from titan.store.sqlite.store import SqliteStore

WRITER_KILLS = 60
SERVER_KILLS = 15
CONTROL_KILLS = 8
CONTROL_ROUNDS = 6

ACKNOWLEDGE_TOO_EARLY = """
import sys, time
from titan.store.sqlite import batch, writer

class TooEarly(batch.Batches):
    def _together(self, requests, now_ms, deadline):
        self._begin(deadline)
        replies = [self._one(request, now_ms) for request in requests]
        channel.send(("done", replies))
        time.sleep(0.003)
        self._db.execute("COMMIT")
        return [], None

writer.Batches = TooEarly
_make = writer.Channel
def Channel(sock):
    global channel
    channel = _make(sock)
    return channel
writer.Channel = Channel
writer.main()
"""


class Load:
    """The loading process, and what it said so far."""

    def __init__(self, path: Path, first: int, code: str | None) -> None:
        script = str(Path(kill_load.__file__))
        command = [sys.executable, script, str(path), str(first), *([code] if code else [])]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._rest = b""
        self.said: list[list[str]] = []

    def listen(self) -> None:
        """Take the lines that are there; a line that a kill cut off counts as not said."""
        assert self.process.stdout is not None
        while data := self.process.stdout.read(1 << 20):
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.said += [line.decode().split() for line in lines]

    def until(self, done, what: str) -> None:
        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline, f"{what} did not happen"
            if self.process.poll() is not None:
                assert self.process.stderr is not None
                raise AssertionError(f"the load ended: {self.process.stderr.read().decode()}")
            time.sleep(0.001)
            self.listen()

    @property
    def writers(self) -> list[int]:
        return [int(words[1]) for words in self.said if words[0] == "ready"]

    @property
    def acknowledged(self) -> list[list[str]]:
        return [words for words in self.said if words[0] != "ready"]


@contextmanager
def load(path: Path, first: int = 0, code: str | None = None):
    """Run the load; at the end it is killed, and its writer process has ended, too."""
    running = Load(path, first, code)
    try:
        running.until(lambda: running.writers, "the start of the writer")
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        running.listen()
        for stream in (running.process.stdout, running.process.stderr):
            if stream is not None:
                stream.close()
        deadline = time.monotonic() + 10
        while any(is_alive(pid) for pid in running.writers):
            assert time.monotonic() < deadline, "the writer process outlives its parent"
            time.sleep(0.001)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill_writers(running: Load, kills: int, rng: random.Random) -> None:
    """Kill the writer process again and again, each time after some writes and a random while."""
    for _ in range(kills):
        started, heard = len(running.writers), len(running.acknowledged)
        running.until(lambda heard=heard: len(running.acknowledged) > heard + 5, "some writes")
        time.sleep(rng.uniform(0, 0.03))
        os.kill(running.writers[-1], signal.SIGKILL)
        running.until(lambda started=started: len(running.writers) > started, "a new writer process")


def losses(path: Path, acknowledged: list[list[str]]) -> list[str]:
    """Say what is missing of what was acknowledged, and what is half there."""
    return [*findings(path), *trio.run(_losses, path, acknowledged)]


async def _losses(path: Path, acknowledged: list[list[str]]) -> list[str]:
    async with SqliteStore(path) as store:
        changes = await store.changes(limit=10**9)
        assert isinstance(changes, Changes)
        told = {change.revision for change in changes.items}
        found = [f"{what}: no row in the outbox" for *what, revision in acknowledged if int(revision) not in told]
        found += await _missing(store, acknowledged)
        async for item in store.export(Kind.SUBMODEL):
            found += await _half_there(store, item)
    return found


async def _missing(store: SqliteStore, acknowledged: list[list[str]]) -> list[str]:
    found = []
    latest: dict[str, int] = defaultdict(int)
    for what, task, count, _ in acknowledged:
        if what == "put":
            latest[task] = max(latest[task], int(count))
            continue
        is_there = await store.get(Kind.SUBMODEL, f"new-{task}-{count}") is not None
        if what == "new" and not is_there and int(count) % 3 != 0:
            found.append(f"new {task} {count}: lost")
        elif what == "del" and is_there:
            found.append(f"del {task} {count}: there again")
    for task, acknowledged_count in latest.items():
        stored = await store.get(Kind.SUBMODEL, f"task-{task}")
        if stored is None or json.loads(stored.body)["count"] < acknowledged_count:
            found.append(f"put {task} {acknowledged_count}: lost")
    return found


async def _half_there(store: SqliteStore, item: Stored) -> list[str]:
    content = json.loads(item.body)
    count = content["count"]
    found = []
    if [element["value"] for element in content["submodelElements"]] != [str(count)] * (count % 4 + 1):
        found.append(f"{item.id}: elements of another version")
    listed = await store.page(Kind.SUBMODEL, terms=[kill_load.term(item.id, count)])
    if [one.id for one in listed.items] != [item.id]:
        found.append(f"{item.id}: terms of another version")
    return found


@pytest.fixture
def path(tmp_path):
    return fresh_database(tmp_path / "titan.db")


def test_killing_the_writer_process_loses_nothing_that_was_acknowledged(path):
    rng = random.Random(5)
    with load(path) as running:
        kill_writers(running, WRITER_KILLS, rng)
    assert len(running.writers) == WRITER_KILLS + 1
    print(f"{len(running.acknowledged)} acknowledged writes, {WRITER_KILLS} kills")
    assert len(running.acknowledged) > 500
    assert losses(path, running.acknowledged) == []


def test_killing_the_server_loses_nothing_that_was_acknowledged(path):
    rng = random.Random(6)
    acknowledged: list[list[str]] = []
    for number in range(SERVER_KILLS):
        with load(path, first=number * 1_000_000) as running:
            running.until(lambda running=running: len(running.acknowledged) > 20, "some writes")
            time.sleep(rng.uniform(0, 0.1))
        acknowledged += running.acknowledged
        assert list(findings(path)) == []
    print(f"{len(acknowledged)} acknowledged writes, {SERVER_KILLS} kills")
    assert losses(path, acknowledged) == []


def test_the_same_test_reports_losses_when_the_acknowledgement_comes_before_the_commit(path):
    """A kill has to fall between the two, which on a busy machine it may not do in the first rounds."""
    rng = random.Random(7)
    for number in range(CONTROL_ROUNDS):
        with load(path, first=number * 1_000_000, code=ACKNOWLEDGE_TOO_EARLY) as running:
            kill_writers(running, CONTROL_KILLS, rng)
        if losses(path, running.acknowledged):
            return
    pytest.fail("acknowledged too early, and nothing was lost")
