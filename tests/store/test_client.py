"""The store's end of the writer process: waiting, cancellation, limits, start and stop."""

import os
import signal
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document
from tests.support.waiting import until
from titan.store.contract import Created, Kind, OutcomeUnknown, StoreClosed, WriteMode
from titan.store.sqlite import client
from titan.store.sqlite.client import WriterFailed
from titan.store.sqlite.store import SqliteStore, open_sqlite_store


@pytest.fixture
def path(tmp_path):
    return fresh_database(tmp_path / "titan.db")


async def run_for(store: SqliteStore, nursery: trio.Nursery) -> trio.CancelScope:
    """Start the writer process; return the scope that stops it."""
    scope = trio.CancelScope()
    started = trio.Event()

    async def run() -> None:
        with scope:
            await store.run_writer(started.set)

    nursery.start_soon(run)
    await started.wait()
    return scope


async def test_a_write_before_there_is_a_process_waits_for_it(path):
    async with SqliteStore(path) as store, trio.open_nursery() as nursery:
        outcomes = []

        async def write() -> None:
            outcomes.append(await store.write(document("early"), WriteMode.CREATE))

        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        assert outcomes == []
        scope = await run_for(store, nursery)
        await until(lambda: outcomes != [])
        assert isinstance(outcomes[0], Created)
        scope.cancel()


async def test_a_caller_who_gives_up_before_his_write_was_sent_leaves_nothing(path):
    async with SqliteStore(path) as store, trio.open_nursery() as nursery:
        with trio.move_on_after(0.05):
            await store.write(document("given up"), WriteMode.CREATE)
        scope = await run_for(store, nursery)
        await store.write(document("after"), WriteMode.CREATE)
        assert await store.get(Kind.SHELL, "given up") is None
        scope.cancel()


async def test_a_caller_who_gives_up_later_has_a_write_that_is_made_unseen(path):
    async with open_sqlite_store(path) as store:
        await store.write(document("first"), WriteMode.CREATE)
        assert store.writer.pid is not None
        os.kill(store.writer.pid, signal.SIGSTOP)
        with trio.move_on_after(0.1):
            await store.write(document("sent"), WriteMode.CREATE)
        os.kill(store.writer.pid, signal.SIGCONT)
        await store.write(document("next"), WriteMode.CREATE)
        assert await store.get(Kind.SHELL, "sent") is not None


async def test_no_more_is_sent_than_the_process_should_hold(path, monkeypatch):
    monkeypatch.setattr(client, "MAX_UNANSWERED_BYTES", 4 << 20)
    async with open_sqlite_store(path) as store:
        await store.write(document("first"), WriteMode.CREATE)
        assert store.writer.pid is not None
        os.kill(store.writer.pid, signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(store.write, document(str(number), text="x" * (1 << 20)), WriteMode.CREATE)
            await trio.testing.wait_all_tasks_blocked(0.1)
            assert store.writer.unanswered_bytes < 6 << 20
            os.kill(store.writer.pid, signal.SIGCONT)
        assert len([item async for item in store.export(Kind.SHELL)]) == 31


async def test_a_stop_answers_what_was_sent(path):
    outcomes: dict[int, object] = {}
    async with SqliteStore(path) as store, trio.open_nursery() as nursery:
        scope = await run_for(store, nursery)

        async def write(number: int) -> None:
            try:
                outcomes[number] = await store.write(document(str(number)), WriteMode.CREATE)
            except StoreClosed as error:
                outcomes[number] = error

        for number in range(300):
            nursery.start_soon(write, number)
        await until(lambda: len(outcomes) > 20)
        scope.cancel()
        await until(lambda: scope.cancelled_caught)
        store.writer.close()
        await until(lambda: len(outcomes) == 300)
        for number, outcome in outcomes.items():
            is_there = await store.get(Kind.SHELL, str(number)) is not None
            assert is_there == isinstance(outcome, Created), outcome


async def test_a_stop_leaves_one_complete_file(path):
    async with open_sqlite_store(path) as store:
        await store.write(document("x" * 100), WriteMode.CREATE)
    assert path.with_name("titan.db-wal").stat().st_size == 0
    assert b"x" * 100 in path.read_bytes()


async def test_a_process_that_hangs_is_killed_in_time_and_its_callers_are_told(path, monkeypatch):
    monkeypatch.setattr(client, "STOP_S", 0.3)
    async with SqliteStore(path) as store, trio.open_nursery() as nursery:
        scope = await run_for(store, nursery)
        pid = store.writer.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        failed = []

        async def write() -> None:
            try:
                await store.write(document(), WriteMode.CREATE)
            except OutcomeUnknown as error:
                failed.append(error)

        nursery.start_soon(write)
        await until(lambda: store.writer.waiting_s > 0)
        scope.cancel()
        await until(lambda: failed != [], within_s=3)
        await until(lambda: not Path(f"/proc/{pid}").exists(), within_s=3)


async def test_calls_to_a_closed_store_fail_at_once(path):
    async with SqliteStore(path) as store:
        pass
    with pytest.raises(StoreClosed):
        await store.write(document(), WriteMode.CREATE)
    with pytest.raises(StoreClosed):
        await store.get(Kind.SHELL, "x")
    with pytest.raises(StoreClosed):
        await store.page(Kind.SHELL)


async def test_the_reason_of_a_death_is_what_the_process_said_last(path):
    command = [sys.executable, "-c", "raise SystemExit('no such library')"]
    async with SqliteStore(path, writer_command=command) as store:
        with pytest.raises(WriterFailed, match=r"died \(exit status 1\): no such library") as failed:
            await store.run_writer(lambda: None)
    assert not failed.value.may_pass


async def test_of_a_traceback_the_reason_is_its_last_line_and_the_rest_a_note(path):
    command = [sys.executable, "-c", "1 / 0"]
    async with SqliteStore(path, writer_command=command) as store:
        with pytest.raises(WriterFailed) as failed:
            await store.run_writer(lambda: None)
    assert failed.value.reason == "the writer process died (exit status 1): ZeroDivisionError: division by zero"
    [note] = failed.value.__notes__
    assert note.startswith("Traceback")


async def test_a_process_that_cannot_be_started_may_be_tried_again(path):
    async with SqliteStore(path, writer_command=["/nowhere/python"]) as store:
        with pytest.raises(WriterFailed, match="cannot be started") as failed:
            await store.run_writer(lambda: None)
    assert failed.value.may_pass


async def test_a_tool_whose_writer_process_died_is_told_and_does_not_wait(path):
    async with open_sqlite_store(path) as store:
        await store.write(document(), WriteMode.CREATE)
        assert store.writer.pid is not None
        os.kill(store.writer.pid, signal.SIGKILL)
        await until(lambda: store.writer.pid is None)
        with pytest.raises(StoreClosed, match="killed by signal 9"):
            await store.write(document(), WriteMode.PUT)


async def test_what_a_tool_raises_comes_out_as_it_is(path):
    with pytest.raises(KeyError, match="mine"):
        async with open_sqlite_store(path):
            raise KeyError("mine")
