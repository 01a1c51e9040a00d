"""What is HTTP and what is not: heads, framing, pipelining, other protocols."""

import json

import pytest

from tests.http.support import Client, Reply, running
from tests.support.waiting import until

HOST = b"Host: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


async def raw(client: Client, data: bytes) -> Reply:
    await client.send(data)
    return await client.reply()


def assert_result(reply: Reply, status: int) -> None:
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    (message,) = json.loads(reply.body)["messages"]
    assert set(message) == {"code", "correlationId", "messageType", "text", "timestamp"}
    assert len(message["code"]) <= 32


MALFORMED = {
    "no request line": (b"GARBAGE\r\n\r\n", 400),
    "no host": (b"GET /things HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /things HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "space before colon": (b"GET /things HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "nul in a field": (b"GET /things HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    "length and coding": (b"POST /things HTTP/1.1\r\n" + HOST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (b"POST /things HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "negative length": (b"POST /things HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    "length with plus": (b"POST /things HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\na", 400),
    "two codings": (b"POST /things HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "coding in disguise": (b"POST /things HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
    "coding in HTTP/1.0": (b"POST /things HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "not ASCII": ("GET /thüngs HTTP/1.1\r\n".encode() + HOST + b"\r\n", 400),
    "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "target too long": (b"GET /" + b"a" * 33_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "head too large": (b"GET /things HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 33_000 + b"\r\n\r\n", 431),
    "line without an end": (b"GET /" + b"a" * 70_000, 414),
    "head without an end": (b"GET /things HTTP/1.1\r\n" + b"X: a\r\n" * 12_000, 431),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_head_gets_a_result_and_the_end(name):
    data, status = MALFORMED[name]
    async with running() as site, await site.connect() as client:
        reply = await raw(client, data)
        assert_result(reply, status)
        assert reply.headers["connection"] == "close"
        assert reply.headers["server"] == "titan-aas"
        assert await client.is_closed()
        assert [(record.operation, record.status) for record in site.seen.records] == [("malformed", status)]
        assert site.seen.connection_failures == []


BAD_BODIES = {
    "no size": b"zz\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-1\r\nhello\r\n0\r\n\r\n",
    "no end of chunk": b"5\r\nhelloGET /things HTTP/1.1\r\n\r\n",
    "endless size": b"0" * 40_000,
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_malformed_body_gets_one_answer_and_the_end(name):
    head = b"POST /things HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n"
    async with running() as site, await site.connect() as client:
        reply = await raw(client, head + BAD_BODIES[name])
        assert_result(reply, 400)
        assert await client.is_closed()
        await until(lambda: site.seen.in_progress == 0)
        assert [record.status for record in site.seen.records] == [400]
        assert site.seen.connection_failures == []


async def test_a_head_as_large_as_allowed_is_read():
    async with running() as site, await site.connect() as client:
        reply = await client.ask("GET /things\nX: " + "a" * 32_000)
    assert reply.status == 200


async def test_a_client_that_leaves_in_mid_head_leaves_no_trace():
    async with running() as site:
        async with await site.connect() as client:
            await client.send(b"GET /things HT")
        await until(lambda: site.server.connections == 0)
        assert (site.seen.records, site.seen.connection_failures) == ([], [])


async def test_a_client_that_leaves_in_mid_body_is_recorded_as_gone():
    async with running() as site:
        async with await site.connect() as client:
            await client.send(b"POST /things HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nhalf")
        await until(lambda: site.server.connections == 0)
        assert [record.status for record in site.seen.records] == [499]
        assert site.seen.connection_failures == []


async def test_pipelined_requests_are_answered_in_order():
    async with running() as site, await site.connect() as client:
        await client.send(b"".join(b"GET /things/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(20)))
        for number in range(20):
            assert f"'{number}'" in (await client.reply()).body.decode()


async def test_a_body_in_single_bytes_is_put_together():
    async with running() as site, await site.connect() as client:
        for byte in b"POST /things HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc":
            await client.send(bytes([byte]))
        assert (await client.reply()).body == b"PostThing {} () 3"


async def test_a_chunked_body_is_put_together():
    async with running() as site, await site.connect() as client:
        body = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
        reply = await raw(client, b"POST /things HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n" + body)
        assert reply.body == b"PostThing {} () 5"
        assert (await client.ask("GET /things")).status == 200


async def test_http_1_0_is_answered_and_closed():
    async with running() as site, await site.connect() as client:
        reply = await raw(client, b"GET /things HTTP/1.0\r\n\r\n")
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await client.is_closed()


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
async def test_upgrades_are_ignored(upgrade):
    async with running() as site, await site.connect() as client:
        reply = await client.ask(
            f"""GET /things
            Connection: Upgrade, HTTP2-Settings
            Upgrade: {upgrade}
            HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
            Sec-WebSocket-Version: 13"""
        )
        assert reply.status == 200
        assert (await client.ask("GET /things")).status == 200


async def test_a_client_that_waits_for_100_continue_gets_it():
    async with running() as site, await site.connect() as client:
        await client.send(b"POST /things HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        await client.send(b"abc")
        assert (await client.reply()).body == b"PostThing {} () 3"


async def test_a_client_that_waits_with_too_large_a_body_is_refused_before_it_sends_any():
    async with running() as site, await site.connect() as client:
        head = b"POST /things HTTP/1.1\r\n" + HOST + b"Content-Length: 9000000\r\nExpect: 100-continue\r\n\r\n"
        reply = await raw(client, head)
        assert_result(reply, 413)
        assert reply.headers["connection"] == "close"
        assert await client.is_closed()
