"""Whatever bytes come, each connection ends in answers or a close, and the server goes on."""

from contextlib import suppress

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.support import running
from tests.support.waiting import until
from titan.http.limits import HttpLimits

LIMITS = HttpLimits(head_timeout_s=0.02, body_timeout_s=0.02, keep_alive_s=0.02, linger_s=0.02, max_body_bytes=1000)

PIECES = st.sampled_from(
    [
        b"GET /things HTTP/1.1\r\n",
        b"POST /things HTTP/1.1\r\n",
        b"PUT /things/a%2Fb HTTP/1.0\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"CONNECT x:1 HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n",
        b"Host: x\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\n",
        b"Accept-Encoding: gzip\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"hello",
        b"\0\xff",
        b"X" * 40_000,
    ]
)
TRAFFIC = st.lists(PIECES | st.binary(max_size=40), max_size=12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TRAFFIC, min_size=1, max_size=4))
async def test_any_bytes(connections):
    async with running(limits=LIMITS) as site:
        async with trio.open_nursery() as nursery:
            for pieces in connections:
                nursery.start_soon(talk, site.port, pieces)
        await until(lambda: site.server.connections == 0)
        assert site.seen.in_progress == 0
        assert (site.seen.failures, site.seen.connection_failures) == ([], [])
        assert all(record.status < 500 or record.status in (501, 505) for record in site.seen.records)
        async with await site.connect() as client:
            assert (await client.ask("GET /things")).status == 200


async def talk(port: int, pieces: list[bytes]) -> None:
    """Send, then read to the end: it must come."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    answered = b""
    async with stream:
        with suppress(trio.BrokenResourceError), trio.fail_after(5):
            for piece in pieces:
                await stream.send_all(piece)
            while data := await stream.receive_some():
                answered += data
    assert answered == b"" or answered.startswith(b"HTTP/1.1 ")
