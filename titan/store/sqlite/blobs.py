"""Files of the embedded store: content in a folder beside the database, a row for each in the database.

The row is there before the file has its name and stays until the file is gone, so the rows alone say what there is to
sweep: a file without a row is an upload in progress, or one that died, and those are in a folder of their own.
"""

import errno
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

import trio

from titan.store.blob_folder import BlobFolder, PartFile
from titan.store.blobs import PIECE_BYTES, Blob, is_key, new_key
from titan.store.contract import Fence, StoreFull, StoreUnavailable
from titan.store.sqlite import wire
from titan.store.sqlite.replies import failure, fence_code

THREADS = 8
"""How many calls may be with the disk at one time; a disk that hangs takes no more threads than that."""

CLEAN_UP_S = 2.0
"""How long the end of a broken upload waits for the disk; the thread goes on by itself then."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def blob_folder(database: Path) -> Path:
    """Return where the files of a database are: `titan.db-blobs` beside `titan.db`, of a backup as of the original."""
    return database.with_name(f"{database.name}-blobs")


class SqliteBlobs:
    """See `titan.store.blobs.Blobs`."""

    def __init__(self, folder: BlobFolder, call: Callable[..., Awaitable[tuple[Any, ...]]]) -> None:
        """`call` sends a request to the writer process."""
        self._folder = folder
        self._call = call
        self._limiter = trio.CapacityLimiter(THREADS)

    @asynccontextmanager
    async def upload(self) -> "AsyncIterator[FolderUpload]":
        """Take a file."""
        part = self._folder.part()
        try:
            yield FolderUpload(self, part)
        finally:
            with trio.move_on_after(CLEAN_UP_S, shield=True):
                await self.io(part.discard)

    async def look(self, key: str) -> Blob | None:
        """Say what is known of a file."""
        return await self.io(self._folder.look, key) if is_key(key) else None

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        """Read a file."""
        if not is_key(key):
            raise StoreUnavailable("there is no such file")
        file = self._folder.read(key)
        try:
            while piece := await self.io(file.next):
                yield piece
        finally:
            with trio.move_on_after(CLEAN_UP_S, shield=True):
                await self.io(file.close)

    async def sweep(self, *, before_ms: int, fence: Fence) -> int:
        """Remove what no document names."""
        swept = 0
        while True:
            examined, keys = await self.ask(wire.BLOBS_MARKED, wire.MARK_BLOBS, fence_code(fence), before_ms)
            for key in keys:
                await self.io(self._folder.remove, key)
            if keys:
                await self.ask(wire.BLOBS_FORGOTTEN, wire.FORGET_BLOBS, fence_code(fence), keys)
            swept += len(keys)
            if not examined:
                return swept

    async def remove_leftovers(self) -> int:
        """Remove what uploads left behind when their process died; for the one who serves, before it does."""
        return await self.io(self._folder.remove_leftovers)

    async def ask(self, expected: int, *request: Any) -> tuple[Any, ...]:
        """Have the writer process do something; return what comes after the code of its reply."""
        code, *rest = await self._call(*request)
        if code != expected:
            raise failure(code, *rest)
        return tuple(rest)

    async def io(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Do something on the disk, in a thread. Cancelled, it is left to itself."""
        try:
            return await trio.to_thread.run_sync(work, *args, limiter=self._limiter, abandon_on_cancel=True)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StoreFull("there is no space left for files") from error
            raise StoreUnavailable(f"the disk of the files fails: {error.strerror or error}") from error


class FolderUpload:
    """See `titan.store.blobs.Upload`."""

    def __init__(self, blobs: SqliteBlobs, part: PartFile) -> None:
        self._blobs = blobs
        self._part = part
        self._waiting = bytearray()  # not the pieces themselves: of one byte each, they would take forty times the room

    async def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._waiting += data
        if len(self._waiting) >= PIECE_BYTES:
            await self._flush()

    async def finish(self) -> str:
        """Make the file last."""
        await self._flush()
        key = new_key(await self._blobs.io(self._part.seal))
        await self._blobs.ask(wire.BLOB_ADDED, wire.ADD_BLOB, key, self._part.size)
        await self._blobs.io(self._part.place, key)
        return key

    async def _flush(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        await self._blobs.io(self._part.write, data)
