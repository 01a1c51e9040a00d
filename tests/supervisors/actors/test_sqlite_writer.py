"""The actor of the writer process: under a real supervisor, with a real process."""

import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest
import trio

from supervisors.actors.sqlite_writer import SqliteWriterActor
from supervisors.kernel import Backoff, Child, ChildRestarting, Intensity, Supervisor, open_tree
from tests.support.slow_fsync import MISSING, slow_fsync
from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document
from tests.support.waiting import until
from titan.store.contract import Created, Kind, OutcomeUnknown, StoreUnavailable, WriteMode
from titan.store.sqlite.check import findings
from titan.store.sqlite.store import SqliteStore
from titan.telemetry.health import Check, Status

BROKEN_DISK = """
import os, socket, sys
from titan.store.sqlite import wire, writer
flag = sys.argv.pop(1)
if os.path.exists(flag):
    socket.socket(fileno=os.dup(0)).sendall(wire.frame(("fatal", "the disk is on fire", True)))
    sys.exit(1)
writer.main()
"""


@asynccontextmanager
async def supervised(path, *, writer_command=None):
    """A store whose writer runs under a supervisor; yields store, check and the supervisor's events."""
    check = Check("database")
    events: list[object] = []
    async with SqliteStore(path, writer_command=writer_command) as store:
        spec = Supervisor(
            name="stores",
            children=(
                Child(
                    name="sqlite_writer",
                    run=SqliteWriterActor(store, check).run,
                    backoff=Backoff(base_s=0.01, cap_s=0.05),
                ),
            ),
            intensity=Intensity(max_restarts=5, within_s=30),
        )
        async with open_tree(spec, on_event=events.append):
            yield store, check, events


@pytest.fixture
def path(tmp_path):
    return fresh_database(tmp_path / "titan.db")


async def test_it_is_up_once_it_can_write_and_down_once_it_is_stopped(path):
    async with supervised(path) as (store, check, _):
        during = check.result
        assert isinstance(await store.write(document(), WriteMode.CREATE), Created)
    assert during.status is Status.UP
    assert (check.result.status, check.result.detail) == (Status.DOWN, "the writer process is stopped")


async def test_a_killed_process_is_replaced_and_the_reason_is_told(path):
    async with supervised(path) as (store, check, events):
        first = store.writer.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: store.writer.pid not in (None, first) and check.result.status is Status.UP)
        assert isinstance(await store.write(document(), WriteMode.CREATE), Created)
    restarts = [event for event in events if isinstance(event, ChildRestarting)]
    assert len(restarts) == 1
    assert "signal 9" in repr(events)


async def test_a_write_under_way_when_the_process_dies_is_unknown_at_once_and_one_that_waits_goes_to_the_next(path):
    async with supervised(path) as (store, _, _):
        pid = store.writer.pid
        os.kill(pid, signal.SIGSTOP)
        outcomes = {}

        async def write(name: str) -> None:
            try:
                outcomes[name] = await store.write(document(name), WriteMode.CREATE)
            except OutcomeUnknown as error:
                outcomes[name] = error

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, "sent")
            await until(lambda: store.writer.waiting_s > 0)
            os.kill(pid, signal.SIGKILL)
            await until(lambda: "sent" in outcomes, within_s=1)
            nursery.start_soon(write, "after")
        assert isinstance(outcomes["sent"], OutcomeUnknown)
        assert isinstance(outcomes["after"], Created)
        assert await store.get(Kind.SHELL, "after") is not None


async def test_reads_go_on_while_there_is_no_process(path):
    async with supervised(path) as (store, _, _):
        await store.write(document(), WriteMode.CREATE)
        os.kill(store.writer.pid, signal.SIGKILL)
        assert await store.get(Kind.SHELL, "urn:test:one") is not None
        assert len((await store.page(Kind.SHELL)).items) == 1


async def test_the_terminal_and_the_service_manager_cannot_stop_the_process_behind_the_server(path):
    async with supervised(path) as (store, _, events):
        pid = store.writer.pid
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        assert isinstance(await store.write(document(), WriteMode.CREATE), Created)
        assert store.writer.pid == pid
        assert os.getpgid(pid) != os.getpgid(0)
        assert not any(isinstance(event, ChildRestarting) for event in events)


async def test_a_database_that_was_replaced_under_the_server_takes_no_write(path, tmp_path):
    async with supervised(path) as (store, check, events):
        path.rename(tmp_path / "moved.db")
        fresh_database(path)
        with pytest.raises(StoreUnavailable, match="moved or replaced"):
            await store.write(document(), WriteMode.CREATE)
        await until(lambda: any(isinstance(event, ChildRestarting) for event in events))
        assert check.result.status is Status.DOWN


async def test_a_disk_that_fails_is_a_state_and_no_crash(path, tmp_path):
    flag = tmp_path / "broken"
    flag.touch()
    command = [sys.executable, "-c", BROKEN_DISK, str(flag)]
    async with supervised(path, writer_command=command) as (store, check, events):
        assert check.result.status is Status.DOWN
        assert check.result.detail == "the disk is on fire"
        flag.unlink()
        await until(lambda: check.result.status is Status.UP)
        assert isinstance(await store.write(document(), WriteMode.CREATE), Created)
        assert not any(isinstance(event, ChildRestarting) for event in events)


async def test_a_disk_that_hangs_is_said_and_passes(path, monkeypatch):
    monkeypatch.setattr("supervisors.actors.sqlite_writer.SLOW_S", 0.3)
    async with supervised(path) as (store, check, _):
        os.kill(store.writer.pid, signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.write, document(), WriteMode.CREATE)
            await until(lambda: check.result.status is Status.DEGRADED)
            said = check.result.detail
            assert f"the disk hangs, or process {store.writer.pid} is stopped" in said
            await until(lambda: store.writer.waiting_s > 1.6)
            assert check.result.detail == said
            os.kill(store.writer.pid, signal.SIGCONT)
            await until(lambda: check.result.status is Status.UP)


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
async def test_an_fsync_that_fails_leaves_the_outcome_unknown_and_the_process_is_not_trusted_again(
    path, tmp_path, monkeypatch
):
    variables = slow_fsync(tmp_path, 0)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    broken = trio.Path(variables["FAIL_FSYNC"])
    async with supervised(path) as (store, check, events):
        await store.write(document("before"), WriteMode.CREATE)
        pid = store.writer.pid
        await broken.touch()
        with pytest.raises(OutcomeUnknown, match="did not confirm"):
            await store.write(document("during"), WriteMode.CREATE)
        await until(lambda: check.result.status is Status.DOWN)
        assert "did not confirm" in check.result.detail
        assert await store.get(Kind.SHELL, "before") is not None
        await broken.unlink()
        await until(lambda: check.result.status is Status.UP)
        assert store.writer.pid != pid
        assert isinstance(await store.write(document("after"), WriteMode.CREATE), Created)
        assert not any(isinstance(event, ChildRestarting) for event in events)
    assert list(findings(path)) == []
