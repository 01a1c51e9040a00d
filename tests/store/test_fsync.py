"""Every write is on the disk before it is acknowledged, and no fsync is ever on the loop's thread."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.slow_fsync import MISSING, callers, slow_fsync
from tests.support.sqlite_files import fresh_database

DELAY_S = 0.05

READ_BESIDE_WRITERS = """
import json, os, sys, time
from pathlib import Path
import trio
from tests.support.store_documents import document
from titan.store.contract import Kind, WriteMode
from titan.store.sqlite.store import open_sqlite_store

async def main(path, seconds):
    acknowledged = 0
    gets = []

    async def write(store, task):
        nonlocal acknowledged
        number = 0
        while True:
            number += 1
            await store.write(document(f"{task}-{number % 50}", text="x" * 4000), WriteMode.PUT)
            acknowledged += 1

    async with open_sqlite_store(path) as store:
        await store.write(document("hot"), WriteMode.PUT)
        async with trio.open_nursery() as nursery:
            for task in range(16):
                nursery.start_soon(write, store, task)
            await trio.sleep(0.2)
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                before = time.perf_counter()
                assert await store.get(Kind.SHELL, "hot") is not None
                gets.append(time.perf_counter() - before)
                await trio.sleep(0.0005)
            nursery.cancel_scope.cancel()
    gets.sort()
    print(json.dumps({"pid": os.getpid(), "acknowledged": acknowledged, "gets": len(gets),
                      "p99": gets[len(gets) * 99 // 100]}))

trio.run(main, Path(sys.argv[1]), 1.5)
"""


WRITE_ONE_AFTER_THE_OTHER = """
import sys, time
from pathlib import Path
import trio
from tests.support.store_documents import document
from titan.store.contract import WriteMode
from titan.store.sqlite.store import open_sqlite_store

async def main():
    async with open_sqlite_store(Path(sys.argv[1])) as store:
        await store.write(document("first"), WriteMode.PUT)
        before = time.perf_counter()
        for number in range(10):
            await store.write(document(str(number)), WriteMode.PUT)
        print(time.perf_counter() - before)

trio.run(main)
"""


def run(code: str, path: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def path(tmp_path):
    return fresh_database(tmp_path / "data" / "titan.db")


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_a_slow_disk_slows_no_read_and_the_serving_process_never_waits_for_it(path, tmp_path):
    slow = slow_fsync(tmp_path, DELAY_S)
    found = json.loads(run(READ_BESIDE_WRITERS, path, slow))
    syncing = set(callers(slow))
    assert found["pid"] not in syncing, "the serving process called fsync"
    assert len(syncing) == 1
    assert found["acknowledged"] > 100
    assert found["gets"] > 500
    # A read that waited for a commit would take 50 ms, and 16 writers commit all the time.
    assert found["p99"] < DELAY_S / 2, found


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_each_write_is_on_the_disk_before_it_is_acknowledged(path, tmp_path):
    """One write at a time: as many acknowledgements, as many fsyncs, and none comes sooner than its own."""
    slow = slow_fsync(tmp_path, DELAY_S)
    before = len(callers(slow))
    took_s = float(run(WRITE_ONE_AFTER_THE_OTHER, path, slow))
    assert took_s >= 10 * DELAY_S
    assert len(callers(slow)) - before >= 10
