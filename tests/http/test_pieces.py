"""Bodies that go through in pieces, both ways: never whole in memory, with the same limits of size and time."""

import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import h11
import pytest
import trio

from tests.http.support import Client, Running, running, text_of
from tests.support.waiting import until
from titan.api.messages import AnswerCut, Request, Response
from titan.api.operation import Operation
from titan.http.limits import FORM_BYTES, HttpLimits

PUT = b"PUT /files/f HTTP/1.1\r\nHost: x\r\n"


class Taker:
    """A handler that takes a body piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[int] = []
        self.ended: list[str] = []
        self.may_read = trio.Event()
        self.may_read.set()
        self.answer_early: Response | None = None
        self.pause_s = 0.0

    async def __call__(self, _operation: Operation, request: Request) -> Response:
        assert request.stream is not None
        await self.may_read.wait()
        if self.answer_early is not None:
            return self.answer_early
        try:
            async for piece in request.stream:
                self.pieces.append(len(piece))
                await trio.sleep(self.pause_s)
        except Exception as error:
            self.ended.append(f"{type(error).__name__} {error}")
            raise
        self.ended.append("whole")
        return Response(200, b"%d" % sum(self.pieces), media_type="text/plain")


@asynccontextmanager
async def taking(limits: HttpLimits | None = None) -> AsyncIterator[tuple[Running, Client, Taker]]:
    taker = Taker()
    async with running(taker, limits) as site, await site.connect() as client:
        yield site, client, taker


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
async def test_a_body_comes_in_pieces_and_the_connection_stays(size):
    async with taking() as (_, client, taker):
        for _ in range(2):
            taker.pieces.clear()
            await client.send(PUT + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
            assert (await client.reply()).body == b"%d" % size
        assert all(piece <= 65_536 for piece in taker.pieces)


async def test_a_chunked_body_too():
    async with taking() as (_, client, _):
        await client.send(PUT + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            await client.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        await client.send(b"0\r\n\r\n")
        assert (await client.reply()).body == b"3000"


async def test_pieces_are_there_before_the_body_is():
    async with taking() as (_, client, taker):
        await client.send(PUT + b"Content-Length: 2000\r\n\r\n" + b"x" * 1000)
        await until(lambda: sum(taker.pieces) == 1000)
        await client.send(b"x" * 1000)
        assert (await client.reply()).body == b"2000"


async def test_a_client_waits_while_the_handler_does():
    """What is not taken stays with the client: the memory for a body is bounded, whatever its size."""
    async with taking() as (_, client, taker):
        taker.may_read = trio.Event()
        total = 64 << 20
        sent = 0

        async def push() -> None:
            nonlocal sent
            await client.send(PUT + b"Content-Length: %d\r\n\r\n" % total)
            for _ in range(total >> 16):
                await client.send(bytes(1 << 16))
                sent += 1 << 16

        async with trio.open_nursery() as nursery:
            nursery.start_soon(push)
            before = -1
            while before != sent:
                before = sent
                await trio.sleep(0.2)
            assert sent < 16 << 20  # both sides' socket buffers, and what the server has read ahead
            taker.may_read.set()
            assert (await client.reply(within_s=30)).body == b"%d" % total


async def test_100_continue_is_said_when_the_handler_begins_to_read():
    async with taking() as (_, client, taker):
        taker.may_read = trio.Event()
        await client.send(PUT + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        with trio.move_on_after(0.1) as scope:
            await client.stream.receive_some()
        assert scope.cancelled_caught
        taker.may_read.set()
        assert (await client.stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        await client.send(b"12345")
        assert (await client.reply()).body == b"5"


async def test_a_handler_that_refuses_reads_nothing_and_says_no_100():
    async with taking() as (site, client, taker):
        taker.answer_early = Response(404, b"no", media_type="text/plain")
        await client.send(PUT + b"Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.body, reply.headers["connection"]) == (404, b"no", "close")
        await until(lambda: len(site.seen.records) == 1)
        assert (site.seen.records[0].status, site.seen.records[0].received_bytes) == (404, 0)


async def test_what_declares_too_much_does_not_reach_the_handler():
    async with taking(HttpLimits(max_file_bytes=10_000)) as (_, client, taker):
        await client.send(PUT + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (10_001 + FORM_BYTES))
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        assert text_of(reply).endswith(f"{10_000 + FORM_BYTES} bytes that this server takes")
        assert taker.ended == []


async def test_a_chunked_body_is_refused_where_it_passes_the_limit():
    async with taking(HttpLimits(max_file_bytes=10_000)) as (_, client, taker):
        await client.send(PUT + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(4):
            await client.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        assert (await client.reply()).status == 413
        assert taker.ended == ["BodyFailed TOO_LARGE"]


async def test_other_operations_keep_their_own_limit():
    async with taking(HttpLimits(max_body_bytes=1000)) as (_, client, _):
        await client.send(PUT + b"Content-Length: 2000\r\n\r\n" + b"x" * 2000)
        assert (await client.reply()).body == b"2000"
        await client.send(b"POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n")
        assert (await client.reply()).status == 413


async def test_a_compressed_body_is_refused():
    async with taking() as (_, client, taker):
        await client.send(PUT + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n12345")
        assert (await client.reply()).status == 415
        assert taker.ended == []


async def test_a_client_that_stops_sending_is_told_408():
    async with taking(HttpLimits(body_timeout_s=0.2, body_min_bytes_per_s=1)) as (_, client, taker):
        await client.send(PUT + b"Content-Length: 5000\r\n\r\n" + b"x" * 1000)  # rate enough for 1,000 seconds
        assert (await client.reply()).status == 408
        assert taker.ended == ["BodyFailed TOO_SLOW"]


async def test_a_client_that_sends_too_slowly_on_average_is_told_408():
    async with taking(HttpLimits(body_timeout_s=0.3, body_min_bytes_per_s=1000)) as (_, client, taker):
        await client.send(PUT + b"Content-Length: 5000\r\n\r\n")
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle, client, 10, 0.05)  # 200 bytes a second
            assert (await client.reply()).status == 408
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 1.5
        assert taker.ended == ["BodyFailed TOO_SLOW"]


async def test_a_slow_client_that_keeps_the_rate_may_take_its_time():
    async with taking(HttpLimits(body_timeout_s=0.2, body_min_bytes_per_s=1000)) as (_, client, _):
        await client.send(PUT + b"Content-Length: 2000\r\n\r\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle, client, 100, 0.03, 20)
            assert (await client.reply()).body == b"2000"


async def test_the_time_that_the_server_takes_is_not_the_clients():
    async with taking(HttpLimits(body_timeout_s=0.2, body_min_bytes_per_s=1_000_000)) as (_, client, taker):
        taker.pause_s = 0.1
        await client.send(PUT + b"Content-Length: 500000\r\n\r\n" + bytes(500_000))
        assert (await client.reply()).body == b"500000"


async def trickle(client: Client, size: int, every_s: float, times: int = 1 << 30) -> None:
    for _ in itertools.repeat(None, times):
        await trio.sleep(every_s)
        try:
            await client.send(b"x" * size)
        except trio.BrokenResourceError:
            return


@pytest.mark.parametrize("framing", [b"Content-Length: 5000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n"])
async def test_a_client_that_leaves_in_the_middle(framing):
    async with taking() as (site, client, taker):
        await client.send(PUT + framing + b"x" * 1000)
        await until(lambda: sum(taker.pieces) == 1000)
        client.close()
        await until(lambda: len(site.seen.records) == 1)
        assert taker.ended == ["BodyFailed GONE"]
        assert site.seen.records[0].status == 499
        assert site.seen.failures == []


async def test_what_is_no_chunk_ends_the_body_with_400():
    async with taking() as (site, client, taker):
        await client.send(PUT + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nxyz\r\n")
        assert (await client.reply()).status == 400
        await until(lambda: len(site.seen.records) == 1)
        assert taker.ended == ["BodyFailed GONE"]
        assert site.seen.records[0].status == 400


async def test_bodies_in_pieces_take_nothing_of_the_memory_for_whole_ones():
    async with taking(HttpLimits(max_body_bytes=1000)) as (site, client, _):
        size = HttpLimits().max_unfinished_bytes + 100_000
        await client.send(PUT + b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(size // (1 << 20)):
            await client.send(bytes(1 << 20))
        await client.send(bytes(size % (1 << 20)))
        assert (await client.reply(within_s=30)).body == b"%d" % size
        assert site.seen.failures == []


# --- answers


class Giver:
    """A handler that answers in pieces of 100 bytes."""

    def __init__(self, count: int, *, cut_at: int | None = None, declared: bool = True) -> None:
        self.count = count
        self.cut_at = cut_at
        self.declared = declared
        self.given = 0
        self.is_closed = False

    async def __call__(self, _operation: Operation, _request: Request) -> Response:
        headers = (("Content-Length", str(self.count * 100)),) if self.declared else ()
        return Response(200, self.pieces(), headers, "application/json")

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(self.count):
                if number == self.cut_at:
                    raise AnswerCut("the disk is gone")
                self.given += 1
                yield b"%d" % (number % 10) * 100
        finally:
            self.is_closed = True


@pytest.mark.parametrize("declared", [True, False])
async def test_an_answer_goes_out_in_pieces_uncompressed(declared):
    giver = Giver(50, declared=declared)
    async with running(giver) as site, await site.connect() as client:
        for _ in range(2):
            reply = await client.ask("GET /files/f\nAccept-Encoding: gzip")
            assert reply.body == b"".join(b"%d" % (number % 10) * 100 for number in range(50))
            assert ("content-length" in reply.headers, "content-encoding" in reply.headers) == (declared, False)
        assert site.seen.records[0].sent_bytes == 5000
        assert giver.is_closed


async def test_head_has_the_length_and_takes_no_piece():
    giver = Giver(50)
    async with running(giver) as site, await site.connect() as client:
        reply = await client.ask("HEAD /files/f")
        assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "5000")
        assert giver.given == 0
        assert (await client.ask("GET /files/f")).status == 200


async def test_an_answer_that_cannot_go_on_ends_with_the_connection():
    giver = Giver(50, cut_at=20)
    async with running(giver) as site, await site.connect() as client:
        with pytest.raises(h11.RemoteProtocolError, match="without sending complete message body"):
            await client.ask("GET /files/f")
        await until(lambda: len(site.seen.records) == 1)
        record = site.seen.records[0]
        assert (record.status, record.sent_bytes, record.cut_because) == (200, 2000, "the disk is gone")
        assert site.seen.failures == []
        assert await client.is_closed()


async def test_an_answer_that_cannot_begin_is_a_503():
    async with running(Giver(50, cut_at=0)) as site, await site.connect() as client:
        reply = await client.ask("GET /files/f")
        assert (reply.status, text_of(reply)) == (503, "the disk is gone")
        assert "retry-after" in reply.headers
        assert "etag" not in reply.headers
        assert site.seen.failures == []
        await until(lambda: len(site.seen.records) == 1)
        assert (site.seen.records[0].because, site.seen.records[0].cut_because) == (None, "the disk is gone")
        assert (await client.ask("GET /things")).status == 503  # on the same connection


async def test_a_client_that_leaves_closes_what_it_was_given_from():
    giver = Giver(10_000_000)
    async with running(giver) as site, await site.connect() as client:
        await client.send(b"GET /files/f HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.stream.receive_some()
        client.close()
        await until(lambda: giver.is_closed)
        await until(lambda: len(site.seen.records) == 1)
        assert not site.seen.records[0].is_complete
        assert site.seen.failures == []


async def test_a_client_that_does_not_read_is_not_read_ahead_for():
    giver = Giver(10_000_000)
    async with running(giver, HttpLimits(write_timeout_s=0.5)) as site, await site.connect() as client:
        await client.send(b"GET /files/f HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: len(site.seen.records) == 1)
        assert giver.given * 100 < 16 << 20
        assert giver.is_closed
