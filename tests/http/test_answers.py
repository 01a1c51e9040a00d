"""What every answer carries, and what is done with a handler's answer on its way out."""

import gzip
import json
import logging
import time
from collections.abc import AsyncGenerator

import pytest
import trio

from tests.http.support import echo, pages, running, text_of
from tests.support.waiting import until
from titan.api.messages import Request, Response
from titan.api.operation import Operation
from titan.http import compression
from titan.http.app import Pages, Probes
from titan.telemetry.health import CheckResult, Readiness, Status

DOCUMENT = json.dumps({"items": list(range(500))}).encode()


async def document(_operation: Operation, request: Request) -> Response:
    if request.headers.get("if-none-match", "").startswith('"7'):
        return Response(304, headers=(("ETag", '"7"'),), media_type=None)
    return Response(200, DOCUMENT, (("ETag", '"7"'), ("Location", "/x")))


async def test_every_answer_carries_the_security_headers():
    async with running() as site, await site.connect() as client:
        for head in ("GET /things", "GET /unknown", "PATCH /things", "GET /health/live", "OPTIONS /things", "GET /a%"):
            headers = (await client.ask(head)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["server"] == "titan-aas"
            assert headers["date"].endswith(" GMT")
            assert headers["x-request-id"]


@pytest.mark.parametrize("given", ["abc-123", "a" * 128, "00.a_b:c/d+e=="])
async def test_a_sane_request_id_comes_back_and_names_errors(given):
    async with running() as site, await site.connect() as client:
        reply = await client.ask(f"GET /unknown\nX-Request-ID: {given}")
        assert reply.headers["x-request-id"] == given
        assert json.loads(reply.body)["messages"][0]["correlationId"] == given
        await until(lambda: len(site.seen.records) == 1)
        assert site.seen.records[0].request_id == given


@pytest.mark.parametrize("given", ["a" * 129, "a b", "<script>", '"', "a\tb"])
async def test_an_insane_request_id_is_replaced(given):
    async with running() as site, await site.connect() as client:
        first = (await client.ask(f"GET /things\nX-Request-ID: {given}")).headers["x-request-id"]
        second = (await client.ask("GET /things")).headers["x-request-id"]
        assert len({given, first, second}) == 3
        assert len(first) == 32


async def test_head_is_get_without_its_body():
    async with running(document) as site, await site.connect() as client:
        for extra in ("", "\nAccept-Encoding: gzip"):
            got = await client.ask("GET /things" + extra)
            head = await client.ask("HEAD /things" + extra)
            assert (head.status, head.body) == (200, b"")
            for name in ("content-length", "content-type", "etag", "vary", "location"):
                assert head.headers[name] == got.headers[name]
        assert (await client.ask("HEAD /health/live")).headers["content-length"] == "17"


async def test_options_and_wrong_methods_name_what_is_allowed():
    async with running() as site, await site.connect() as client:
        reply = await client.ask("OPTIONS /api/v3/things")
        assert (reply.status, reply.body) == (204, b"")
        assert reply.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        wrong = await client.ask("DELETE /things")
        assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
        assert json.loads(wrong.body)["messages"][0]["code"] == "ClientMethodNotAllowed"
        assert (await client.ask("FOO /things")).status == 405
        assert (await client.ask("OPTIONS /unknown")).status == 404
        assert (await client.ask("OPTIONS *")).status == 204


async def test_pages_know_get_only():
    async with running() as site, await site.connect() as client:
        wrong = await client.ask("POST /health/live\nContent-Length: 0")
        assert wrong.status == 405
        assert json.loads(wrong.body)["messages"][0]["messageType"] == "Error"
        assert "GET" in wrong.headers["allow"]


async def test_gzip_where_it_is_accepted_and_pays():
    async with running(document) as site, await site.connect() as client:
        plain = await client.ask("GET /things")
        assert (plain.body, plain.headers["etag"], plain.headers["vary"]) == (DOCUMENT, '"7"', "accept-encoding")
        small = await client.ask("GET /things\nAccept-Encoding: gzip, br;q=0.5")
        assert gzip.decompress(small.body) == DOCUMENT
        assert (small.headers["content-encoding"], small.headers["vary"]) == ("gzip", "accept-encoding")
        assert small.headers["etag"] == '"7-gzip"'
        assert small.headers["content-length"] == str(len(small.body))
        assert len(small.body) < len(DOCUMENT) / 2


async def test_a_304_names_the_tag_that_the_client_holds():
    async with running(document) as site, await site.connect() as client:
        for tag in ('"7"', '"7-gzip"'):
            reply = await client.ask(f"GET /things\nIf-None-Match: {tag}\nAccept-Encoding: gzip")
            assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag)
            assert reply.headers["vary"] == "accept-encoding"
            assert "content-length" not in reply.headers
            assert "content-encoding" not in reply.headers


async def test_small_or_incompressible_answers_stay_as_they_are():
    async def answer(_operation: Operation, request: Request) -> Response:
        kind = dict(request.query)["kind"]
        return Response(200, b"x" * (100 if kind == "small" else 5000), media_type=None if kind == "none" else kind)

    async with running(answer) as site, await site.connect() as client:
        for kind in ("small", "none", "image/png", "application/octet-stream"):
            reply = await client.ask(f"GET /things?kind={kind}\nAccept-Encoding: gzip")
            assert "content-encoding" not in reply.headers
            assert "vary" not in reply.headers


async def test_a_large_answer_is_compressed_off_the_loop(monkeypatch):
    threads: list[int] = []

    async def run_sync(function, *args, **kwargs):
        threads.append(1)
        return await real(function, *args, **kwargs)

    real = trio.to_thread.run_sync
    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)
    body = b"titan" * 200_000

    async def answer(_operation: Operation, _request: Request) -> Response:
        return Response(200, body)

    async with running(answer) as site, await site.connect() as client:
        reply = await client.ask("GET /things\nAccept-Encoding: gzip")
        assert gzip.decompress(reply.body) == body
        assert threads == [1]


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP;q=1.0", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*", True),
        ("*;q=0", False),
        ("x-gzip", True),
        ("br, deflate", False),
        ("identity;q=1, gzip ; q=0.5", True),
        ("gzip;q=2", False),
        ("gzip;q=nan", False),
        (";;;,,,", False),
    ],
)
def test_accept_encoding(header, accepted):
    assert compression.accepts_gzip(header) is accepted


def test_accept_encoding_costs_no_more_than_its_length():
    hostile = ["gzip" + " " * 30_000 + "x", "," * 32_000, ";q=" * 10_000, "gzip;q=" + "1" * 30_000]
    began = time.perf_counter()
    for header in hostile:
        compression.accepts_gzip(header)
    assert time.perf_counter() - began < 0.5


async def test_a_streamed_answer_arrives_in_pieces():
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"one "
        yield b"two"

    async def answer(_operation: Operation, _request: Request) -> Response:
        return Response(200, pieces(), media_type="text/plain")

    async with running(answer) as site, await site.connect() as client:
        for _ in range(2):
            reply = await client.ask("GET /things")
            assert (reply.body, reply.headers["transfer-encoding"]) == (b"one two", "chunked")
        await until(lambda: len(site.seen.records) == 2)
        assert site.seen.records[0].sent_bytes == 7


async def test_a_stream_that_fails_half_way_is_cut_off_and_reported():
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"one "
        raise RuntimeError("half way")

    async def answer(_operation: Operation, _request: Request) -> Response:
        return Response(200, pieces(), media_type="text/plain")

    async with running(answer) as site, await site.connect() as client:
        with pytest.raises(Exception, match="without sending complete message body"):
            await client.ask("GET /things")
        await until(lambda: len(site.seen.failures) == 1)
        assert site.seen.connection_failures == []


async def test_a_bug_is_a_500_with_a_result_and_is_reported_whole(capfd):
    async def answer(_operation: Operation, request: Request) -> Response:
        raise KeyError(request.path["thingId"])

    async with running(answer) as site, await site.connect() as client:
        reply = await client.ask("GET /things/secret\nX-Request-ID: r1")
        assert reply.status == 500
        assert json.loads(reply.body)["messages"][0]["correlationId"] == "r1"
        assert b"secret" not in reply.body
        assert (await client.ask("GET /health/live")).status == 200
        await until(lambda: len(site.seen.records) == 2)
        assert [type(error) for error in site.seen.failures] == [KeyError]
        assert [record.status for record in site.seen.records] == [500, 200]
    assert capfd.readouterr() == ("", "")


async def test_a_page_that_fails_is_a_500_and_is_reported(caplog):
    def broken() -> Readiness:
        raise RuntimeError("broken page")

    caplog.set_level(logging.DEBUG)
    async with running(app_pages=Pages(Probes(lambda: True, broken))) as site, await site.connect() as client:
        reply = await client.ask("GET /health/ready")
        assert (reply.status, reply.headers["content-type"]) == (500, "application/json")
        assert len(site.seen.failures) == 1
    assert caplog.text == ""


async def test_a_compressed_request_body_is_refused():
    async with running() as site, await site.connect() as client:
        body = gzip.compress(b"{}")
        head = f"POST /things HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        await client.send(head.encode() + body)
        reply = await client.reply()
        assert (reply.status, reply.headers["accept-encoding"]) == (415, "identity")


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("?a=1&b=x%20y&a=2&c", "(('a', '1'), ('b', 'x y'), ('a', '2'), ('c', ''))"),
        ("?a=%C3%BC+%2B", "(('a', 'ü +'),)"),
        ("?", "()"),
    ],
)
async def test_a_query_is_decoded_once(query, body):
    async with running() as site, await site.connect() as client:
        assert (await client.ask(f"GET /things{query}")).body.decode() == f"GetAllThings {{}} {body} 0"


@pytest.mark.parametrize("query", ["?a=%FF", "?" + "&".join("a=1" for _ in range(1001))])
async def test_a_query_that_is_none_is_refused(query):
    async with running() as site, await site.connect() as client:
        reply = await client.ask(f"GET /things{query}")
        assert (reply.status, text_of(reply)) == (400, "the query is not percent-encoded UTF-8 with up to 1000 fields")


async def test_server_timing_when_asked():
    async with running() as site, await site.connect() as client:
        assert "server-timing" not in (await client.ask("GET /things\nPrefer: return=minimal")).headers
        timing = (await client.ask("GET /things\nPrefer: return=minimal, server-timing")).headers["server-timing"]
        assert timing.startswith("read;dur=")
        assert ", handle;dur=" in timing


async def test_a_record_tells_of_a_request():
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with running(echo) as site, await site.connect() as client:
        await client.send(
            f"POST /api/v3/things?secret=1 HTTP/1.1\r\nHost: x\r\ntraceparent: {trace}\r\n"
            "X-Forwarded-For: 6.6.6.6\r\nContent-Length: 3\r\n\r\nabc".encode()
        )
        sent = len((await client.reply()).body)
        await until(lambda: len(site.seen.records) == 1)
    (record,) = site.seen.records
    assert (record.method, record.operation, record.path) == ("POST", "PostThing", "/api/v3/things")
    assert (record.status, record.received_bytes, record.sent_bytes) == (200, 3, sent)
    assert (record.client, record.traceparent) == ("127.0.0.1", trace)
    assert 0 < record.duration_s < 1


async def test_the_base_path_moves_the_api_and_its_pages_but_not_health():
    async with running(base_path="/twins", app_pages=with_documents()) as site, await site.connect() as client:
        for path in ("/twins/things", "/twins/api/v3.1/things", "/twins/openapi.json", "/twins/docs", "/health/live"):
            assert (await client.ask(f"GET {path}")).status == 200, path
        for path in ("/things", "/api/v3/things", "/openapi.json", "/twins/health/live", "/twins", "/metrics"):
            assert (await client.ask(f"GET {path}")).status == 404, path


def with_documents() -> Pages:
    return Pages(
        pages().probes, openapi=lambda: Response(200, b"{}"), docs=lambda: Response(200, b"<p>", (), "text/html")
    )


async def test_readiness_lists_the_checks():
    down = CheckResult(Status.DOWN, 12.5, "no disk")
    probes = Probes(lambda: False, lambda: Readiness("unready", {"database": down}))
    async with running(app_pages=Pages(probes)) as site, await site.connect() as client:
        reply = await client.ask("GET /health/ready")
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert json.loads(reply.body) == {
            "status": "unready",
            "checks": {"database": {"status": "down", "since": 12.5, "detail": "no disk"}},
        }
        assert (await client.ask("GET /health/live")).status == 503
