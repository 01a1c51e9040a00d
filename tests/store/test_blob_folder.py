"""Files in a folder: whole or not there, whatever ends an upload; a hanging disk holds up nobody but itself."""

import errno
import os
import stat
import threading
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.support.fenced import swept
from tests.support.sqlite_files import fresh_database
from tests.support.waiting import until
from titan.store import blob_folder
from titan.store.blob_folder import BlobFolder
from titan.store.blobs import new_key
from titan.store.contract import StoreFull, StoreUnavailable
from titan.store.sqlite.blobs import CLEAN_UP_S, THREADS
from titan.store.sqlite.store import open_sqlite_store

KEY = "0" * 64 + "-" + "1" * 32


@pytest.fixture
def folder(tmp_path):
    return BlobFolder(tmp_path / "titan.db-blobs")


@pytest.fixture
async def store(tmp_path):
    async with open_sqlite_store(fresh_database(tmp_path / "titan.db")) as opened:
        yield opened


def files(folder: BlobFolder) -> list[str]:
    return sorted(path.name for path in folder.path.rglob("*") if path.is_file())


def write(folder: BlobFolder, data: bytes) -> str:
    part = folder.part()
    part.write(data)
    key = new_key(part.seal())
    part.place(key)
    part.discard()
    return key


def test_nothing_is_made_before_there_is_something_to_keep(folder):
    assert folder.look(KEY) is None
    assert folder.remove_leftovers() == 0
    folder.part().discard()
    assert list(folder.all_keys()) == []
    assert not folder.path.exists()


def test_everything_is_for_its_owner_alone(folder):
    write(folder, b"x")
    for path in (folder.path, *folder.path.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_file_is_complete_on_the_disk_before_it_has_its_name(folder, monkeypatch):
    """Content, then name, then the folders that hold the name: each fsynced, in this order."""
    synced: list[str] = []
    fsync, rename = os.fsync, os.rename

    def note_sync(fd: int) -> None:
        fsync(fd)
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))

    def note_rename(old: Path, new: Path) -> None:
        rename(old, new)
        synced.append("rename")

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "rename", note_rename)
    key = write(folder, b"x" * 100)
    _, parent, part, *rest = synced
    assert parent == str(folder.path.parent)
    assert part.startswith(str(folder.parts))
    assert rest == ["rename", str(folder.file(key).parent), str(folder.path)]


def test_a_large_file_reaches_the_disk_on_its_way(folder, monkeypatch):
    part, waiting = folder.part(), list[int]()
    monkeypatch.setattr(os, "fdatasync", lambda _: waiting.append(part.size))
    for _ in range(5):
        part.write(bytes(blob_folder.SYNC_EVERY_BYTES // 2))
    part.discard()
    assert len(waiting) == 2


def test_what_is_no_key_never_becomes_a_path(folder):
    for text in ("../../etc/passwd", "", KEY + "/x", KEY.upper().replace("1", "F"), KEY + "\n"):
        with pytest.raises(ValueError, match="not a key"):
            folder.look(text)


def test_leftovers_are_recognised_and_finished_files_stay(folder):
    key = write(folder, b"finished")
    unfinished = folder.part()
    unfinished.write(b"half")
    assert len(files(folder)) == 2
    assert folder.remove_leftovers() == 1
    assert files(folder) == [key]
    unfinished.discard()
    assert list(folder.all_keys()) == [key]


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreUnavailable)]
)
async def test_a_disk_that_fails_is_told_as_the_contract_says(store, monkeypatch, number, error):
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with pytest.raises(error) as raised:  # noqa: PT012
        async with store.blobs.upload() as upload:
            await upload.write(b"x")
            monkeypatch.setattr(os, "write", fail)
            await upload.finish()
    assert type(raised.value) is error
    monkeypatch.undo()
    assert files(BlobFolder(store.path.with_name("titan.db-blobs"))) == []


async def test_a_disk_that_fails_to_confirm_keeps_no_file(store, monkeypatch):
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async with store.blobs.upload() as upload:
        await upload.write(b"x")
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(StoreUnavailable, match="Input/output error"):
            await upload.finish()
        monkeypatch.undo()
    assert await swept(store, before_ms=1 << 50) == 0


async def test_a_hanging_disk_lets_go_of_its_callers_and_cleans_up_when_it_is_back(store, monkeypatch):
    back = threading.Event()
    write_really = os.write
    hanging = []

    def hang(fd: int, data: bytes) -> int:
        hanging.append(fd)
        assert back.wait(20)
        return write_really(fd, data)

    folder = BlobFolder(store.path.with_name("titan.db-blobs"))
    monkeypatch.setattr(os, "write", hang)

    async def one() -> None:
        async with store.blobs.upload() as upload:
            await upload.write(b"x")
            await upload.finish()

    begun = trio.current_time()
    with trio.move_on_after(0.2) as scope:
        await one()
    assert scope.cancelled_caught
    assert trio.current_time() - begun < 0.2 + CLEAN_UP_S + 1
    assert len(files(folder)) == len(hanging) == 1
    back.set()
    await until(lambda: files(folder) == [], what="the end of what was given up")
    monkeypatch.undo()
    await one()


async def test_a_hanging_disk_takes_no_more_threads_than_it_was_given(store, monkeypatch):
    back = threading.Event()
    monkeypatch.setattr(os, "write", lambda _fd, data: back.wait(20) and len(data))

    async def one() -> None:
        async with store.blobs.upload() as upload:
            await upload.write(b"x")
            await upload.finish()

    try:
        async with trio.open_nursery() as nursery:
            for _ in range(THREADS + 4):
                nursery.start_soon(one)
            await until(lambda: store.blobs._limiter.borrowed_tokens == THREADS)
            with trio.fail_after(1):
                assert await store.get("shell", "nobody") is None
            back.set()
    finally:
        back.set()


async def test_a_file_that_is_read_can_be_removed_meanwhile(store):
    async with store.blobs.upload() as upload:
        for _ in range(8):
            await upload.write(bytes(100_000))
        key = await upload.finish()
    pieces = store.blobs.read(key)
    read = len(await anext(pieces))
    assert await swept(store, before_ms=1 << 50) == 1
    async for piece in pieces:
        read += len(piece)
    assert read == 800_000
    await trio.to_thread.run_sync(partial(os.stat, store.path))  # the store goes on
