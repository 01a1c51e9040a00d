"""Files of the store on PostgreSQL: what one instance takes, every other one gives."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio

from titan.store.blobs import HEAD_BYTES, PIECE_BYTES, Blob, is_key, new_key
from titan.store.contract import Fence, StoreUnavailable
from titan.store.postgres import blob_rows

FLUSH_AFTER_S = 60.0
"""A slow upload shows that it lives at least this often, whenever something of it comes."""

CLEAN_UP_S = 2.0
"""How long the end of a broken upload tries to have it removed at once; else a sweep does."""

Use = Callable[..., Awaitable[Any]]
"""Runs an operation on a session of its own (`PostgresStore`)."""


class PostgresBlobs:
    """See `titan.store.blobs.Blobs`."""

    def __init__(self, use: Use) -> None:
        self._use = use

    @asynccontextmanager
    async def upload(self) -> "AsyncIterator[PostgresUpload]":
        """Take a file."""
        upload = PostgresUpload(self._use)
        try:
            yield upload
        finally:
            await upload.end()

    async def look(self, key: str) -> Blob | None:
        """Say what is known of a file."""
        found = await self._use(blob_rows.look, key, HEAD_BYTES) if is_key(key) else None
        return None if found is None else Blob(found[1], found[2])

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        """Read a file."""
        found = await self._use(blob_rows.look, key, 0) if is_key(key) else None
        if found is None:
            raise StoreUnavailable("there is no such file")
        n, left, _ = found
        number = 0
        while left:
            content: bytes | None = await self._use(blob_rows.chunk, n, number)
            if not content:
                raise StoreUnavailable("the file was removed while it was read")
            yield content
            left -= len(content)
            number += 1

    async def sweep(self, *, before_ms: int, fence: Fence) -> int:
        """Remove what no document names, and what broken uploads left."""
        swept = 0
        while True:
            examined, going = await self._use(blob_rows.mark, before_ms, fence)
            for n in going:
                while not await self._use(blob_rows.remove, n, fence):
                    pass
            swept += len(going)
            if not examined:
                return swept


class PostgresUpload:
    """See `titan.store.blobs.Upload`."""

    def __init__(self, use: Use) -> None:
        self._use = use
        self._n: int | None = None
        self._digest = hashlib.sha256()
        self._size = 0
        self._chunks = 0
        self._waiting = bytearray()
        self._flushed_at = trio.current_time()

    async def write(self, data: bytes) -> None:
        """Take the next bytes."""
        for at in range(0, len(data), PIECE_BYTES):
            self._waiting += data[at : at + PIECE_BYTES]
            if len(self._waiting) >= PIECE_BYTES or trio.current_time() - self._flushed_at > FLUSH_AFTER_S:
                await self._flush(min(PIECE_BYTES, len(self._waiting)))

    async def finish(self) -> str:
        """Make the file last."""
        await self._flush(len(self._waiting))
        key = new_key(self._digest.hexdigest())
        self._must_be_there(await self._use(blob_rows.finish, self._n, key, self._size))
        self._n = None
        return key

    async def end(self) -> None:
        """Let go of what was not finished."""
        if self._n is not None:
            # What this cannot do is left to a sweep.
            with trio.move_on_after(CLEAN_UP_S, shield=True), suppress(StoreUnavailable):
                await self._use(blob_rows.give_up, self._n)
                while not await self._use(blob_rows.remove, self._n):
                    pass

    async def _flush(self, size: int) -> None:
        if self._n is None:
            self._n = await self._use(blob_rows.begin)
        if size:
            content = bytes(memoryview(self._waiting)[:size])
            del self._waiting[:size]
            self._digest.update(content)
            self._must_be_there(await self._use(blob_rows.append, self._n, self._chunks, content))
            self._size += size
            self._chunks += 1
        self._flushed_at = trio.current_time()

    def _must_be_there(self, is_there: bool) -> None:  # noqa: FBT001
        if not is_there:
            raise StoreUnavailable("the upload did not move for so long that it was given up")
