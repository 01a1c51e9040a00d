"""The rate limit over a real connection: what is counted, what a refused client gets, whose address it is."""

from ipaddress import ip_network

import pytest

from tests.http.support import Client, Observations, pages, running, text_of
from tests.support.waiting import until
from titan.api.messages import Response
from titan.http.app import Pages
from titan.security.quota import Quota
from titan.security.rate_limit import LocalRateLimit

LOOPBACK = (ip_network("127.0.0.0/8"),)


class Clock:
    """Time stands still unless a test moves it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def limit(per_minute: int, clock: Clock | None = None) -> LocalRateLimit:
    return LocalRateLimit(Quota(per_minute), lambda _counted_by, _is_granted: None, clock_s=clock or Clock())


async def statuses(client: Client, count: int, head: str = "GET /things") -> list[int]:
    return [(await client.ask(head)).status for _ in range(count)]


async def test_every_answer_says_what_is_left_and_the_first_beyond_it_is_refused():
    clock = Clock()
    async with running(rate_limit=limit(3, clock)) as site, await site.connect() as client:
        replies = [await client.ask("GET /things") for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 200, 200, 429]
        assert {reply.headers["ratelimit-policy"] for reply in replies} == {'"client";q=3;w=60'}
        left = ['"client";r=2;t=40', '"client";r=1;t=20', '"client";r=0;t=20', '"client";r=0;t=20']
        assert [reply.headers["ratelimit"] for reply in replies] == left
        assert "retry-after" not in replies[2].headers
        assert replies[3].headers["retry-after"] == "20"
        assert b'"code":"ClientTooManyRequests"' in replies[3].body
        assert text_of(replies[3]) == "too many requests: this client's address may send 3 a minute"
        clock.now_s += 20
        assert await statuses(client, 2) == [200, 429]  # on the same connection all the time
        await until(lambda: site.seen.in_progress == 0)
    records = site.seen.records
    assert [(record.status, record.because) for record in records[2:4]] == [
        (200, None),
        (429, "more than 3 requests a minute"),
    ]
    assert records[3].operation == "GetAllThings"


async def test_errors_count_and_carry_the_fields_as_well():
    async with running(rate_limit=limit(3)) as site, await site.connect() as client:
        for head, status in (("GET /nowhere", 404), ("GET /things/%ff", 400), ("DELETE /things", 405)):
            reply = await client.ask(head)
            assert (reply.status, "ratelimit" in reply.headers) == (status, True)
        assert await statuses(client, 1, "OPTIONS /things") == [429]


async def test_pages_for_whoever_runs_the_server_are_never_limited_and_do_not_count():
    def document() -> Response:
        return Response(200, b"{}")

    def metrics(_accept: str) -> tuple[bytes, str]:
        return b"", "text/plain"

    offered = Pages(pages().probes, tree=dict, metrics=metrics, openapi=document, docs=document)
    async with running(rate_limit=limit(2), app_pages=offered) as site, await site.connect() as client:
        for _ in range(3):
            for page in ("/health/live", "/health/ready", "/metrics", "/system/tree"):
                reply = await client.ask(f"GET {page}")
                assert (reply.status, "ratelimit" in reply.headers) == (200, False)
        assert await statuses(client, 1, "GET /openapi.json") == [200]
        assert await statuses(client, 2, "GET /docs") == [200, 429]
        assert await statuses(client, 1, "GET /health/live") == [200]


@pytest.mark.parametrize("target", ["POST /things", "PUT /files/a"])
async def test_a_refused_body_is_neither_asked_for_nor_read(target):
    async with running(rate_limit=limit(1)) as site, await site.connect() as client:
        await client.ask("GET /things")
        await client.send(
            f"{target} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (429, "close")
        await until(lambda: site.seen.in_progress == 0)
        assert site.seen.records[-1].received_bytes == 0


async def test_a_client_cannot_choose_who_it_counts_as():
    async with running(rate_limit=limit(2)) as site, await site.connect() as client:
        asked = [await client.ask(f"GET /things\nX-Forwarded-For: 198.51.100.{n}") for n in range(3)]
        assert [reply.status for reply in asked] == [200, 200, 429]


async def test_behind_a_trusted_proxy_each_client_counts_for_itself_by_what_the_proxy_says():
    async with running(rate_limit=limit(2), trusted_proxies=LOOPBACK) as site, await site.connect() as client:
        for address in ("198.51.100.1", "198.51.100.2", "2001:db8::1"):
            assert await statuses(client, 3, f"GET /things\nX-Forwarded-For: {address}") == [200, 200, 429]
        # What stands left of the proxy's own word is the client's word, whatever it is.
        for claimed in ("203.0.113.9", "127.0.0.1", "<script>", "2001:db8:9::1"):
            assert await statuses(client, 1, f"GET /things\nX-Forwarded-For: {claimed}, 198.51.100.1") == [429]
            head = f"GET /things\nX-Forwarded-For: {claimed}\nX-Forwarded-For: 198.51.100.1"
            assert await statuses(client, 1, head) == [429]
        # Another address of the same /64 is no other client.
        assert await statuses(client, 1, "GET /things\nX-Forwarded-For: 2001:db8::2:3:4:5") == [429]
        assert await statuses(client, 1, "GET /things\nX-Forwarded-For: 2001:db8:0:1::1") == [200]


async def test_without_a_limit_no_answer_speaks_of_one():
    async with running() as site, await site.connect() as client:
        reply = await client.ask("GET /things")
        assert [name for name in reply.headers if "ratelimit" in name] == []


async def test_where_nobody_can_count_requests_pass_without_the_fields():
    class Nobody:
        async def ask(self, _client: str) -> None:
            return None

    async with running(rate_limit=Nobody()) as site, await site.connect() as client:
        reply = await client.ask("GET /things")
        assert (reply.status, "ratelimit" in reply.headers) == (200, False)


async def test_a_refused_client_that_is_gone_is_told_nothing():
    seen = Observations()
    async with running(rate_limit=limit(1), seen=seen) as site, await site.connect() as client:
        await client.ask("GET /things")
        await client.send(b"GET /things HTTP/1.1\r\nHost: x\r\n\r\n")
        client.close()
        await until(lambda: len(seen.records) == 2)
        assert seen.records[1].status in {429, 499}
        assert seen.failures == []
