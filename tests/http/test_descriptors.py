"""A process that runs out of descriptors keeps serving what it has, and takes connections again by itself."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from tests.http.support import Client

POST = b"POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"


@asynccontextmanager
async def server(limit: int, mode: str) -> AsyncIterator[tuple[int, "trio.abc.ReceiveStream"]]:
    command = [sys.executable, "-m", "tests.http.few_descriptors", str(limit), mode]
    async with trio.open_nursery() as nursery:
        run = partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process = await nursery.start(run)
        async with process.stdin:
            yield int(await line(process.stdout)), process.stdout


async def line(stream: trio.abc.ReceiveStream) -> str:
    text = b""
    with trio.fail_after(10):
        while not text.endswith(b"\n"):
            text += bytes(await stream.receive_some(1))
    return text.decode().strip()


@pytest.mark.parametrize(
    ("mode", "reason"), [("reserve", "connections are in use"), ("no reserve", "Too many open files")]
)
async def test_at_the_descriptor_limit_it_serves_what_it_has_and_recovers(mode, reason):
    async with server(64, mode) as (port, output):
        clients = [Client(await trio.open_tcp_stream("127.0.0.1", port)) for _ in range(80)]
        for client in clients:  # each holds on to its connection by a request that is not finished
            await client.send(POST)
        assert reason in await line(output)
        await clients[0].send(b"x")
        assert (await clients[0].reply()).status == 200
        for client in clients[:70]:
            await client.stream.aclose()
        assert await line(output) == "resumed"
        for client in clients[70:]:  # they waited in the backlog
            await client.send(b"x")
            assert (await client.reply()).status == 200
            await client.stream.aclose()
