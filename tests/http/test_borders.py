"""An error that nobody expected is reported once, and takes nothing else with it."""

import pytest

from tests.http.support import Observations, running
from tests.support.waiting import until
from titan.http.app import Pages, Probes
from titan.telemetry.health import Readiness


class Broken(Observations):
    """An observer with a bug: it is called where no request's own border is."""

    def __init__(self, method: str) -> None:
        super().__init__()
        setattr(self, method, self.fail)

    def fail(self, *_: object) -> None:
        raise RuntimeError("a bug in the observer")


@pytest.mark.parametrize("method", ["request_started", "request_finished"])
async def test_in_what_surrounds_a_request(method, capfd):
    async with running(seen=Broken(method)) as site, await site.connect() as client:
        await client.send(b"GET /things HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: len(site.seen.connection_failures) == 1)
        assert "a bug in the observer" in repr(site.seen.connection_failures[0])
        async with await site.connect() as other:
            assert (await other.ask("GET /things")).status == (200 if method == "request_finished" else 500)
    assert capfd.readouterr() == ("", "")


async def test_in_the_protocol_itself(capfd):
    async with running(seen=Broken("request_finished")) as site:
        async with await site.connect() as client:
            await client.send(b"GARBAGE\r\n\r\n")
            assert await client.is_closed()
        await until(lambda: site.server.connections == 0)
        assert len(site.seen.connection_failures) == 1
        async with await site.connect() as other:
            assert (await other.ask("GET /things")).status == 200
    assert capfd.readouterr() == ("", "")


async def test_a_body_that_is_too_large_and_then_malformed_is_no_error():
    async with running() as site, await site.connect() as client:
        head = b"POST /things HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(head + b"900000\r\n" + b"x" * 0x900000 + b"no end")
        assert (await client.reply()).status in (400, 413)
        await until(lambda: site.server.connections == 0 or site.seen.in_progress == 0)
        assert (site.seen.failures, site.seen.connection_failures) == ([], [])


async def test_pages_are_there_only_where_they_are_offered():
    offered = Pages(
        Probes(lambda: True, lambda: Readiness("ready", {})),
        tree=lambda: {"name": "titan"},
        metrics=lambda accept: (b"up 1\n", "application/openmetrics-text" if "openmetrics" in accept else "text/plain"),
    )
    async with running() as site, await site.connect() as client:
        for path in ("/system/tree", "/metrics", "/docs", "/openapi.json"):
            assert (await client.ask(f"GET {path}")).status == 404
    async with running(app_pages=offered) as site, await site.connect() as client:
        assert (await client.ask("GET /system/tree")).body == b'{"name":"titan"}'
        assert (await client.ask("GET /metrics")).headers["content-type"] == "text/plain"
        open_metrics = await client.ask("GET /metrics\nAccept: application/openmetrics-text")
        assert open_metrics.headers["content-type"] == "application/openmetrics-text"
