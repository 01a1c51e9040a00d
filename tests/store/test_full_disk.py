"""A full disk: writes are refused with the reason, reads go on, and all is well again by itself once there is room."""

from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from supervisors.actors.sqlite_writer import SqliteWriterActor
from supervisors.kernel import Child, ChildRestarting, Supervisor, open_tree
from tests.support.small_disk import DISK_BYTES, small_disk
from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document
from tests.support.waiting import until
from titan.store.contract import Created, Kind, StoreFull, StoreUnavailable, WriteMode
from titan.store.sqlite.backup import BackupFailed, back_up
from titan.store.sqlite.check import findings
from titan.store.sqlite.lock import serve_lock
from titan.store.sqlite.prepare import UpgradeFailed, prepare
from titan.store.sqlite.store import SqliteStore, open_sqlite_store
from titan.telemetry.health import Check, Status


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as folder:
        yield folder


async def fill(store: SqliteStore) -> list[str]:
    """Write documents, several at once, until the first is refused; return the ids that were acknowledged."""
    acknowledged: list[str] = []
    is_full = False

    async def write(worker: int) -> None:
        nonlocal is_full
        number = 0
        while not is_full:
            number += 1
            try:
                outcome = await store.write(document(f"{worker}-{number}", text="x" * 9000), WriteMode.CREATE)
            except StoreFull:
                is_full = True
            else:
                assert isinstance(outcome, Created)
                acknowledged.append(f"{worker}-{number}")

    async with trio.open_nursery() as nursery:
        for worker in range(8):
            nursery.start_soon(write, worker)
    return acknowledged


@asynccontextmanager
async def supervised(path: Path):
    check = Check("database")
    events: list[object] = []
    async with SqliteStore(path) as store:
        actor = SqliteWriterActor(store, check)
        spec = Supervisor(name="stores", children=(Child(name="sqlite_writer", run=actor.run),))
        async with open_tree(spec, on_event=events.append):
            yield store, check
    assert not any(isinstance(event, ChildRestarting) for event in events)


async def test_writes_are_refused_reads_go_on_and_room_ends_it(disk):
    path = fresh_database(disk / "titan.db")
    async with supervised(path) as (store, check):
        pid = store.writer.pid
        acknowledged = await fill(store)
        assert len(acknowledged) > 50
        await until(lambda: check.result.status is Status.DEGRADED)
        assert "no space left" in check.result.detail
        for document_id in acknowledged:
            assert await store.get(Kind.SHELL, document_id) is not None
        assert {item.id async for item in store.export(Kind.SHELL)} == set(acknowledged)
        with pytest.raises(StoreFull):
            await store.write(document("more", text="x" * 100_000), WriteMode.CREATE)
        (disk / "ballast").unlink()
        await until(lambda: check.result.status is Status.UP)
        assert isinstance(await store.write(document("after", text="x" * 9000), WriteMode.CREATE), Created)
        assert store.writer.pid == pid
    assert list(findings(path)) == []
    async with open_sqlite_store(path) as store:
        for document_id in [*acknowledged, "after"]:
            assert await store.get(Kind.SHELL, document_id) is not None


async def test_only_the_writes_that_have_no_room_are_refused(disk):
    """One far too large document in the same batch as small ones: they are written, it is not."""
    path = fresh_database(disk / "titan.db")
    async with open_sqlite_store(path) as store:
        outcomes: dict[str, object] = {}

        async def write(name: str, size: int) -> None:
            try:
                outcomes[name] = await store.write(document(name, text="x" * size), WriteMode.CREATE)
            except StoreFull as error:
                outcomes[name] = error

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(write, f"small-{number}", 100)
                if number == 5:
                    nursery.start_soon(write, "huge", DISK_BYTES)
        assert isinstance(outcomes.pop("huge"), StoreFull)
        assert len(outcomes) == 10
        assert all(isinstance(outcome, Created) for outcome in outcomes.values())
        assert await store.get(Kind.SHELL, "huge") is None
    assert list(findings(path)) == []


async def test_a_start_on_a_full_disk_serves_reads(disk):
    path = fresh_database(disk / "titan.db")
    async with open_sqlite_store(path) as store:
        acknowledged = await fill(store)
    with pytest.raises(OSError, match="No space left"):
        (disk / "more").write_bytes(b"x" * DISK_BYTES)
    async with supervised(path) as (store, check):
        for document_id in acknowledged:
            assert await store.get(Kind.SHELL, document_id) is not None
        with pytest.raises(StoreFull):
            await store.write(document("more", text="x" * 9000), WriteMode.CREATE)
        await until(lambda: check.result.status is Status.DEGRADED)
        (disk / "more").unlink()
        (disk / "ballast").unlink()
        await until(lambda: check.result.status is Status.UP)


def leave_no_room(disk: Path) -> None:
    with (disk / "more").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


async def test_a_start_without_any_room_says_so_and_leaves_the_lock_to_the_next(disk):
    path = fresh_database(disk / "titan.db")
    leave_no_room(disk)
    with serve_lock(path), pytest.raises(StoreUnavailable, match="no space left"):
        await prepare(path)
    (disk / "more").unlink()
    with serve_lock(path):
        async with open_sqlite_store(path) as store:
            assert await store.get(Kind.SHELL, "nothing") is None


async def test_a_first_start_on_a_full_disk_says_so(disk):
    leave_no_room(disk)
    with pytest.raises(UpgradeFailed, match=r"the upgrade of /.*/titan\.db failed: database or disk is full$"):
        await prepare(disk / "titan.db")


async def test_a_backup_that_has_no_room_leaves_nothing_and_says_so(disk):
    path = fresh_database(disk / "titan.db")
    async with open_sqlite_store(path) as store:
        await fill(store)
    before = sorted(found.name for found in disk.iterdir())
    with pytest.raises(BackupFailed, match="disk is full"):
        back_up(path, disk / "copy.db")
    assert sorted(found.name for found in disk.iterdir()) == before
