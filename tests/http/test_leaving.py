"""Clients that leave at every moment: no error, no trace of them, and what they asked for is carried out."""

import socket
import struct
from collections.abc import AsyncGenerator

import pytest
import trio

from tests.http.support import Client, Running, large, running
from tests.support.waiting import until
from titan.api.messages import Request, Response
from titan.api.operation import Operation

POST = b"POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"


async def finish(client: Client) -> None:
    await client.stream.aclose()


async def reset(client: Client) -> None:
    assert isinstance(client.stream, trio.SocketStream)
    client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


MORE = {
    "a wish for another protocol": b"Connection: upgrade\r\nUpgrade: x\r\n\r\n",
    "a further request": b"\r\nGET /things HTTP/1.1\r\nHost: x\r\n\r\n",
}
"""For which hypercorn stops reading until the answer is out."""

WAYS = pytest.mark.parametrize("leave", [finish, reset])


async def assert_gone(site: Running) -> None:
    await until(lambda: site.server.connections == 0)
    assert site.seen.in_progress == 0
    assert site.seen.failures == []
    assert site.seen.connection_failures == []


@WAYS
async def test_while_its_request_is_carried_out(leave, capfd):
    entered, left, done = trio.Event(), trio.Event(), trio.Event()

    async def answer(_operation: Operation, _request: Request) -> Response:
        entered.set()
        await left.wait()
        await trio.sleep(0.05)
        done.set()
        return Response(200, b"x" * 5000)

    async with running(answer) as site:
        client = await site.connect()
        await client.send(POST)
        await entered.wait()
        await leave(client)
        left.set()
        with trio.fail_after(2):
            await done.wait()
        await assert_gone(site)
    assert capfd.readouterr() == ("", "")


@WAYS
async def test_while_its_body_is_read(leave):
    async with running() as site:
        client = await site.connect()
        await client.send(POST[:-1])
        await until(lambda: site.seen.in_progress == 1)
        await leave(client)
        await assert_gone(site)
        assert [record.status for record in site.seen.records] == [499]


@WAYS
async def test_while_its_answer_is_sent(leave):
    async with running(large) as site:
        client = await site.connect()
        await client.send(POST)
        await client.stream.receive_some(100)
        await leave(client)
        await assert_gone(site)
        assert [record.is_complete for record in site.seen.records] == [False]


@WAYS
async def test_while_its_answer_is_streamed(leave):
    ended = trio.Event()

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x" * 10_000
        finally:
            ended.set()

    async def answer(_operation: Operation, _request: Request) -> Response:
        return Response(200, pieces(), media_type="text/plain")

    async with running(answer) as site:
        client = await site.connect()
        await client.send(POST)
        await client.stream.receive_some(100)
        await leave(client)
        with trio.fail_after(2):
            await ended.wait()
        await assert_gone(site)


@WAYS
async def test_between_two_requests(leave):
    async with running() as site:
        client = await site.connect()
        await client.ask("GET /things")
        await leave(client)
        await assert_gone(site)
        assert [record.status for record in site.seen.records] == [200]


@WAYS
async def test_with_requests_in_the_pipe(leave):
    async with running() as site:
        client = await site.connect()
        await client.send(POST * 50)
        await leave(client)
        await assert_gone(site)


async def test_a_client_that_only_closes_its_own_side_gets_its_answer():
    async with running() as site, await site.connect() as client:
        assert isinstance(client.stream, trio.SocketStream)
        await client.send(POST)
        await client.stream.send_eof()
        assert (await client.reply()).status == 200
        assert await client.is_closed()
        await assert_gone(site)


@pytest.mark.parametrize("more", MORE.values(), ids=MORE)
@WAYS
async def test_during_a_stream_while_nobody_reads(leave, more):
    async def pieces() -> AsyncGenerator[bytes, None]:
        while True:
            yield b"x"
            await trio.sleep(0.01)

    async def feed(_request: Request) -> Response:
        return Response(200, pieces(), ends_with_client=True)

    async with running(feeds={("events",): feed}) as site:
        client = await site.connect()
        await client.send(b"GET /events HTTP/1.1\r\nHost: x\r\n" + more)
        await client.stream.receive_some()
        await leave(client)
        await assert_gone(site)
