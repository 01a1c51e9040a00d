"""A TCP proxy on loopback that can be cut: nothing gets through and nobody is told, as where packets are dropped."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class Proxy:
    """One listening port before one upstream port; lives in a thread of its own."""

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def cut(self) -> None:
        """Let nothing through, in either direction, on old connections and on new ones."""
        self._do(self._flows.clear)

    def heal(self) -> None:
        """Let everything through again; connections from before are reset, as their peers gave them up long ago."""
        self._do(self._reset)
        self._do(self._flows.set)

    def aim(self, upstream: int) -> None:
        """Lead to another port from now on."""
        self._upstream = upstream
        self._do(self._reset)

    def close(self) -> None:
        """End it."""
        self._do(self._reset)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _do(self, what: object) -> None:
        done = threading.Event()

        def act() -> None:
            what()  # type: ignore[operator]
            done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(10)

    def _reset(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._flows.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._flows.set()
        self._reset()  # upon which every flow ends by itself
        if flows := asyncio.all_tasks(self._loop):
            self._loop.run_until_complete(asyncio.wait(flows, timeout=5))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._flows.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)


@contextlib.contextmanager
def proxied(upstream: int) -> Iterator[Proxy]:
    """Have a proxy for the time of the block."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
