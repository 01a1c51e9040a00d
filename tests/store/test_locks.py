"""Other processes on the same file: a busy lock is waited for within a request's budget, turns are given."""

import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import trio

from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document
from titan.store.contract import Created, Kind, StoreUnavailable, WriteMode
from titan.store.sqlite.batch import BUSY_S
from titan.store.sqlite.store import open_sqlite_store
from titan.store.sqlite.turn import Turn

REQUEST_BUDGET_S = 1.8

HOLD_TURN = """
import sys, time
from titan.store.sqlite.turn import Turn
turn = Turn(sys.argv[1])
assert turn.take(5)
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""
HOLD_WRITE_LOCK = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@contextmanager
def held(code, path, seconds):
    """Another process holds a lock for that long; killed at the end."""
    command = [sys.executable, "-c", code, str(path), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def path(tmp_path):
    return fresh_database(tmp_path / "titan.db")


@pytest.mark.parametrize("code", [HOLD_TURN, HOLD_WRITE_LOCK], ids=["a turn", "SQLite's lock"])
async def test_a_lock_that_is_given_back_in_time_is_waited_for(path, code):
    async with open_sqlite_store(path) as store:
        with held(code, path, 0.4):
            assert isinstance(await store.write(document(), WriteMode.CREATE), Created)


@pytest.mark.parametrize("code", [HOLD_TURN, HOLD_WRITE_LOCK], ids=["a turn", "SQLite's lock"])
async def test_a_lock_that_is_kept_fails_the_write_within_the_request_budget_and_nothing_else(path, code):
    async with open_sqlite_store(path) as store:
        await store.write(document("before"), WriteMode.CREATE)
        with held(code, path, 60):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match="locked by another process"):
                await store.write(document("during"), WriteMode.CREATE)
            assert BUSY_S <= time.monotonic() - started < REQUEST_BUDGET_S
            assert await store.get(Kind.SHELL, "before") is not None
            assert len((await store.page(Kind.SHELL)).items) == 1
        assert isinstance(await store.write(document("during"), WriteMode.CREATE), Created)


def test_a_lock_ends_with_its_process(path):
    turn = Turn(str(path))
    with held(HOLD_TURN, path, 60) as other:
        assert not turn.take(0.05)
        other.kill()
        other.wait()
        assert turn.take(0.05)
    turn.close()


GREEDY = """
import sys, time
from titan.store.sqlite.turn import Turn
turn = Turn(sys.argv[1])
print("held", flush=True)
until = time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    assert turn.take(5)
    time.sleep(0.02)
    turn.leave()
"""


def test_two_busy_writers_take_turns(path):
    """The other one wants the next turn the moment it gives one back; ours comes in between all the same."""
    turn = Turn(str(path))
    waits = []
    with held(GREEDY, path, 5):
        for _ in range(25):
            started = time.monotonic()
            assert turn.take(5)
            waits.append(time.monotonic() - started)
            turn.leave()
    turn.close()
    assert sorted(waits)[len(waits) // 2] < 0.04, waits
    assert max(waits) < 0.5, waits


IMPORT = """
import sys
from pathlib import Path
import trio
from tests.support.store_documents import document
from titan.store.contract import Kind, WriteMode
from titan.store.sqlite.store import open_sqlite_store

async def work(store, worker):
    number = 0
    while True:
        number += 1
        await store.write(document(f"import-{worker}-{number}", text="x" * 3000), WriteMode.CREATE)

async def main():
    async with open_sqlite_store(Path(sys.argv[1])) as store, trio.open_nursery() as nursery:
        for worker in range(64):
            nursery.start_soon(work, store, worker)
        while not (await store.page(Kind.SHELL, limit=1)).items:
            await trio.sleep(0.001)
        print("held", flush=True)

trio.run(main)
"""


async def test_an_import_does_not_starve_the_server(path):
    waits = []
    async with open_sqlite_store(path) as store:
        with held(IMPORT, path, 0):
            for number in range(60):
                started = trio.current_time()
                assert isinstance(await store.write(document(f"server-{number}"), WriteMode.CREATE), Created)
                waits.append(trio.current_time() - started)
        imported = len([item async for item in store.export(Kind.SHELL) if item.id.startswith("import-")])
    print(f"median {sorted(waits)[30] * 1000:.1f} ms, longest {max(waits) * 1000:.1f} ms, {imported} imported")
    assert imported > 60, "the import did nothing meanwhile: the test shows nothing"
    assert max(waits) < BUSY_S / 2
