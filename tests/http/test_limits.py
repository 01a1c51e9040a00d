"""Limits of size, time, rate and number, each met by a client that goes beyond it."""

import socket
import time

import pytest
import trio

from tests.http.support import Client, echo, large, running, text_of
from tests.support.waiting import until
from titan.api.messages import Request, Response
from titan.api.operation import Operation
from titan.http.limits import MIB, HttpLimits

POST = b"POST /things HTTP/1.1\r\nHost: x\r\n"


def seconds_since(began: float) -> float:
    return trio.current_time() - began


async def test_a_body_of_exactly_the_limit_is_read():
    async with running(limits=HttpLimits(max_body_bytes=100_000)) as site, await site.connect() as client:
        await client.send(POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000)
        assert (await client.reply()).body == b"PostThing {} () 100000"


async def test_a_body_that_declares_too_much_is_refused_before_it_is_read():
    async with running() as site, await site.connect() as client:
        await client.send(POST + b"Content-Length: 9000000\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        assert text_of(reply).endswith("8388608 bytes that this server takes")
        assert await client.is_closed()
        await until(lambda: site.seen.in_progress == 0)
        assert site.seen.records[0].received_bytes == 0


async def test_a_chunked_body_is_refused_where_it_passes_the_limit():
    async with running(limits=HttpLimits(max_body_bytes=100_000)) as site, await site.connect() as client:
        await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            await client.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        await client.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        assert (await client.reply()).status == 413


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 104857600\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n6400000\r\n"]
)
async def test_a_client_that_pushes_100_mb_and_reads_only_then_sees_the_413(framing):
    async with running() as site:
        answer = await trio.to_thread.run_sync(push_then_read, site.port, framing)
        assert answer.startswith(b"HTTP/1.1 413 ")
        await until(lambda: site.server.connections == 0)


def push_then_read(port: int, framing: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(POST + framing)
        piece = b"x" * MIB
        try:
            for _ in range(100):
                sock.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # as a client must expect; what was answered before is still there to be read
        return sock.recv(65_536)


async def test_what_a_refused_client_still_sends_is_dropped_for_the_linger_time_only():
    async with running(limits=HttpLimits(linger_s=0.3)) as site, await site.connect() as client:
        began = trio.current_time()
        await client.send(POST + b"Content-Length: 104857600\r\n\r\n")
        assert (await client.reply()).status == 413
        with pytest.raises(trio.BrokenResourceError), trio.fail_after(5):
            await drip(client, b"x", 0.01)
        assert 0.3 <= seconds_since(began) < 3


async def test_large_bodies_together_take_no_more_memory_than_allowed(monkeypatch):
    monkeypatch.setattr(HttpLimits, "max_unfinished_bytes", 300_000)
    released = trio.Event()

    async def answer(operation: Operation, request: Request) -> Response:
        await released.wait()
        return await echo(operation, request)

    async with running(answer) as site:
        held = [await site.connect() for _ in range(2)]
        for client in held:
            await client.send(POST + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000)
        await until(lambda: site.seen.in_progress == 2)
        async with await site.connect() as late:
            await late.send(POST + b"Content-Length: 200000\r\n\r\n" + b"x" * 150_000)
            reply = await late.reply()
            assert (reply.status, reply.headers["retry-after"], reply.headers["connection"]) == (503, "1", "close")
            await until(lambda: site.seen.records != [])
            assert site.seen.records[0].because == text_of(reply)
        async with await site.connect() as small:
            await small.send(POST + b"Content-Length: 60000\r\n\r\n" + b"x" * 60_000)
            released.set()
            assert (await small.reply()).status == 200
        for client in held:
            assert (await client.reply()).status == 200
            await client.send(POST + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000)  # there is room again
            assert (await client.reply()).status == 200


async def test_a_slow_head_is_refused():
    async with running(limits=HttpLimits(head_timeout_s=0.3)) as site, await site.connect() as client:
        await client.ask("GET /things")
        began = trio.current_time()
        await client.send(b"GET /things HTTP/1.1\r\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, client, b"X: y\r\n", 0.05)
            reply = await client.reply()
            assert 0.3 <= seconds_since(began) < 3
            nursery.cancel_scope.cancel()
        assert (reply.status, reply.headers["connection"]) == (408, "close")
        await until(lambda: len(site.seen.records) == 2)
        assert [record.operation for record in site.seen.records] == ["GetAllThings", "malformed"]


async def test_a_client_that_never_speaks_is_closed():
    async with running(limits=HttpLimits(head_timeout_s=0.3)) as site, await site.connect() as client:
        began = trio.current_time()
        assert await client.is_closed()
        assert 0.25 <= seconds_since(began) < 3
        assert site.seen.records == []


async def test_the_time_of_a_first_head_runs_from_the_accept():
    async with running(limits=HttpLimits(head_timeout_s=0.4)) as site, await site.connect() as client:
        began = trio.current_time()
        await trio.sleep(0.3)
        await client.send(b"GET /things HTTP/1.1\r\n")
        assert (await client.reply()).status == 408
        assert seconds_since(began) < 3


async def test_an_idle_connection_is_closed_after_the_keep_alive_time():
    async with running(limits=HttpLimits(keep_alive_s=0.3)) as site, await site.connect() as client:
        await client.ask("GET /things")
        began = trio.current_time()
        assert await client.is_closed()
        assert 0.25 <= seconds_since(began) < 3


async def test_each_request_starts_the_keep_alive_time_anew():
    async with running(limits=HttpLimits(keep_alive_s=0.3)) as site, await site.connect() as client:
        for _ in range(5):
            await client.ask("GET /things")
            await trio.sleep(0.15)


async def test_a_slow_body_is_refused():
    limits = HttpLimits(body_timeout_s=0.3, body_min_bytes_per_s=1000)
    async with running(limits=limits) as site, await site.connect() as client:
        await client.send(POST + b"Content-Length: 1000\r\n\r\n")
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, client, b"x", 0.01)
            reply = await client.reply()
            assert 0.3 <= seconds_since(began) < 3
            nursery.cancel_scope.cancel()
        assert (reply.status, reply.headers["connection"]) == (408, "close")


async def test_a_body_that_keeps_its_rate_may_take_longer():
    limits = HttpLimits(body_timeout_s=0.2, body_min_bytes_per_s=1000)
    async with running(limits=limits) as site, await site.connect() as client:
        await client.send(POST + b"Content-Length: 3000\r\n\r\n")
        for _ in range(10):
            await client.send(b"x" * 300)
            await trio.sleep(0.05)
        assert (await client.reply()).status == 200


async def test_a_client_that_does_not_read_is_cut_off():
    async with running(large, HttpLimits(write_timeout_s=0.3)) as site, await site.connect() as client:
        await client.send(b"GET /things HTTP/1.1\r\nHost: x\r\n\r\n")
        began = trio.current_time()
        await until(lambda: site.server.connections == 0)
        assert 0.3 <= seconds_since(began) < 3.5
        assert site.seen.connection_failures == []


async def test_a_client_that_reads_steadily_gets_all_of_it():
    async with running(large, HttpLimits(write_timeout_s=0.3)) as site, await site.connect() as client:
        await client.send(b"GET /things HTTP/1.1\r\nHost: x\r\n\r\n")
        received = 0
        with trio.fail_after(20):
            while received < 8 * MIB:
                received += len(await client.stream.receive_some(MIB // 2))
                await trio.sleep(0.05)  # 16 pieces: longer in all than the time for one of them


async def test_500_clients_that_hold_on_do_not_hinder_a_good_one():
    async with running(limits=HttpLimits(head_timeout_s=30)) as site:
        held = [await site.connect() for _ in range(500)]
        for number, client in enumerate(held):
            await client.send((b"GET /things HTTP/1.1\r\nX: ", POST + b"Content-Length: 99\r\n\r\nx", b"")[number % 3])
        await until(lambda: site.server.connections == 500)
        async with await site.connect() as client:
            slowest = max([await timed_ask(client) for _ in range(200)])
        assert slowest < 1


async def timed_ask(client: Client) -> float:
    began = time.perf_counter()
    assert (await client.ask("GET /things")).status == 200
    return time.perf_counter() - began


async def test_an_idle_connection_makes_room_for_a_new_one():
    async with running(limits=HttpLimits(max_connections=2, crowded_idle_s=0)) as site:
        first, second = [await site.connect() for _ in range(2)]
        await first.ask("GET /things")
        await second.ask("GET /things")
        third = await site.connect()
        assert (await third.ask("GET /things")).status == 200
        assert await first.is_closed()
        assert (await second.ask("GET /things")).status == 200
        assert site.seen.pauses == []


async def test_a_head_that_does_not_come_to_its_end_makes_room_for_a_new_connection():
    limits = HttpLimits(max_connections=2, crowded_idle_s=0.05, linger_s=0.05)
    async with running(limits=limits) as site:
        slow = [await site.connect() for _ in range(2)]
        for client in slow:
            await client.send(b"GET /things HTTP/1.1\r\nHost:")
        await until(lambda: site.server.connections == 2)
        third = await site.connect()
        assert (await third.ask("GET /things")).status == 200
        assert (await slow[0].reply()).status == 408


async def test_where_all_connections_are_busy_a_new_one_waits_for_its_turn():
    async with running(limits=HttpLimits(max_connections=2)) as site:
        first, second, third = [await site.connect() for _ in range(3)]
        for client in (first, second):
            await client.send(POST + b"Content-Length: 1\r\n\r\n")
        await until(lambda: site.seen.in_progress == 2)
        await third.send(b"GET /things HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: site.seen.pauses == ["all 2 connections are in use"])
        assert site.server.connections == 2
        await first.send(b"x")
        assert (await first.reply()).status == 200
        await first.stream.aclose()
        assert (await third.reply()).status == 200
        assert site.seen.resumed == 1


async def drip(client: Client, data: bytes, every_s: float) -> None:
    while True:
        await client.send(data)
        await trio.sleep(every_s)
