"""One WebSocket over a real connection: heartbeats, what a client may send, and how it ends."""

import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from tests.http.support import Client, Running, running
from tests.support.event_desk import Desk, desk
from tests.support.waiting import until
from tests.support.websocket import Raw, request, upgrade
from titan.api.messages import Request, Response
from titan.events.socket import MAX_BYTES, MAX_MESSAGE
from titan.events.websocket import POSITION, events_socket
from titan.http.limits import HttpLimits
from titan.http.site import Feed


class Stage:
    """A desk, a server, and one client."""

    def __init__(self, it: Desk, site: Running, client: Client, raw: Raw) -> None:
        self.desk, self.site, self.client, self.raw = it, site, client, raw

    async def assert_forgotten(self) -> None:
        await until(lambda: self.site.server.connections == 0, within_s=10)
        assert self.desk.streams.clients == 0
        assert self.site.seen.in_progress == 0
        assert (self.site.seen.failures, self.site.seen.connection_failures) == ([], [])


@asynccontextmanager
async def stage(*, heartbeat_s: float = 15.0, behind: bytes = b"") -> AsyncIterator[Stage]:
    async with desk(heartbeat_s=heartbeat_s) as it:
        feeds: dict[tuple[str, ...], Feed] = {("events", "ws"): partial(events_socket, it.streams, ())}
        async with running(limits=HttpLimits(linger_s=0.05), feeds=feeds) as site, await site.connect() as client:
            raw = await upgrade(client, behind=behind)
            assert (await raw.message())["type"] == POSITION
            yield Stage(it, site, client, raw)


def frame(opcode: int, payload: bytes, *, length: int | None = None, is_last: bool = True) -> bytes:
    """Return a frame as a client sends it, masked with zeros; `length` is what it says of itself."""
    length = len(payload) if length is None else length
    if length < 126:
        said = bytes([0x80 | length])
    elif length < 1 << 16:
        said = b"\xfe" + struct.pack("!H", length)
    else:
        said = b"\xff" + struct.pack("!Q", length)
    return bytes([(0x80 if is_last else 0) | opcode]) + said + bytes(4) + payload


async def test_what_is_written_is_told_and_pings_are_answered():
    async with stage() as it:
        await it.raw.send(Ping(b"are you there?"))
        assert await it.raw.next() == Pong(b"are you there?")
        it.desk.outbox.write("urn:a")
        await it.desk.poll()
        event = await it.raw.message()
        assert (event["specversion"], event["subject"]) == ("1.0", "urn:a")
        assert it.desk.streams.clients == 1
    assert it.site.seen.records[0].status == 101
    assert it.site.seen.records[0].operation == "events_ws"
    assert it.site.seen.records[0].sent_bytes > len(json.dumps(event))


async def test_a_client_that_answers_pings_stays_and_learns_how_far_it_has_got():
    async with stage(heartbeat_s=0.1) as it:
        pings = positions = 0
        while pings < 5 or positions < 5:
            match await it.raw.next():
                case Ping() as ping:
                    pings += 1
                    await it.raw.send(ping.response())
                case TextMessage(data):
                    assert json.loads(data) == {"type": POSITION, "cursor": it.desk.hub.cursor}
                    positions += 1


async def test_a_client_that_answers_no_ping_is_dropped():
    async with stage(heartbeat_s=0.1) as it:
        await it.assert_forgotten()
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            await it.raw.closed()
    assert it.site.seen.records[0].is_complete is False


async def test_what_a_client_says_is_passed_over():
    async with stage(heartbeat_s=0.1) as it:
        for number in range(6):
            await it.raw.send(TextMessage("hello"), BytesMessage(bytes(MAX_MESSAGE)), Pong())
            while not isinstance(await it.raw.next(), Ping):
                pass
            if number % 5 == 0:
                await it.raw.send(TextMessage("in ", message_finished=False), Ping(), TextMessage("pieces"))
        assert it.desk.streams.clients == 1


IN_PIECES = frame(1, b"a" * 200, is_last=False) + frame(0, b"a" * 200, is_last=False) * 30


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(1, b"a" * (MAX_MESSAGE + 1)), 1009),
        (frame(2, bytes(MAX_MESSAGE + 1), length=1 << 40), 1009),
        (IN_PIECES, 1009),
        (frame(9, b"") * (MAX_BYTES // 6 + 1), 1008),  # pings
        (frame(1, b"a") * (MAX_BYTES // 7 + 1), 1008),
        (b"\x81\x01a", 1002),  # not masked
        (b"\xc1\x81\0\0\0\0a", 1002),  # an extension that was not agreed on
        (frame(9, bytes(126)), 1002),  # a ping that is too long
        (frame(0, b"a"), 1002),  # goes on with nothing
        (frame(3, b"a"), 1002),  # an opcode that there is not
        (frame(1, b"\xff"), 1007),  # not UTF-8
        (frame(8, b"a"), 1002),  # half a code
        (frame(8, struct.pack("!H", 1006)), 1002),  # a code that is never sent
    ],
)
async def test_what_a_client_may_not_send_ends_it(sent, code):
    async with stage() as it:
        async with trio.open_nursery() as nursery:  # it reads while it sends: pongs may come first
            nursery.start_soon(send_all, it.client, sent)
            assert await it.raw.closed() == code
            nursery.cancel_scope.cancel()
        await it.assert_forgotten()


async def send_all(client: Client, data: bytes) -> None:
    try:
        await client.send(data)
    except trio.BrokenResourceError:
        return  # it was shown the door meanwhile


@pytest.mark.parametrize("behind", [b"\x81\x81\0\0\0\0a", b"\x81\x81\0\0"])
async def test_frames_right_behind_the_request_are_frames(behind):
    async with stage(behind=behind) as it:
        it.desk.outbox.write("urn:a")
        await it.desk.poll()
        assert (await it.raw.message())["subject"] == "urn:a"


@pytest.mark.parametrize("code", [1000, 1001, 4000])
async def test_a_client_that_says_goodbye_is_answered(code):
    async with stage() as it:
        await it.raw.send(CloseConnection(code, "goodbye"))
        assert await it.raw.closed() == code
        await it.assert_forgotten()


async def test_a_client_that_just_goes_is_forgotten_at_once():
    async with stage() as it:
        it.client.close()
        await it.assert_forgotten()


async def test_a_client_that_is_gone_before_its_answer_is_forgotten():
    asked, gone = trio.Event(), trio.Event()
    async with desk() as it:

        async def hesitant(wish: Request) -> Response:
            asked.set()
            await gone.wait()
            return await events_socket(it.streams, (), wish)

        async with running(feeds={("events", "ws"): hesitant}) as site, await site.connect() as client:
            await client.send(request())
            await asked.wait()
            client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            gone.set()
            await Stage(it, site, client, Raw(client, b"")).assert_forgotten()


async def test_noise_ends_in_order():
    for _ in range(30):
        async with stage() as it:
            await send_all(it.client, os.urandom(300))
            it.client.close()
            await it.assert_forgotten()
