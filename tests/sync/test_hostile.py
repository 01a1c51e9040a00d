"""A server that is slow, broken or malicious costs a bounded time and size, and changes nothing here."""

import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
import trio

from tests.support.documents import collection, prop, submodel
from tests.support.stand_in import Said
from tests.sync.conftest import EMBEDDED, POLICY, ids, limited
from titan.model.identifiers import encode_identifier
from titan.store.contract import Kind
from titan.sync.filters import make_filter
from titan.sync.pull import pull
from titan.sync.report import Outcome
from titan.sync.source import Source

pytestmark = EMBEDDED

A, B = "urn:a", "urn:b"
SUBMODELS = make_filter(kinds=[Kind.SUBMODEL])
QUICK = {"connect_s": 0.5, "read_s": 0.3, "total_s": 0.6}
HEAD = b"HTTP/1.1 200 OK\r\n"

Behaviour = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def speaking(behaviour: Behaviour) -> AsyncIterator[str]:
    """A server that does `behaviour` with each connection once a request has come."""

    async def handle(stream: trio.SocketStream) -> None:
        try:
            await stream.receive_some()
            await behaviour(stream)
        except trio.BrokenResourceError:
            pass  # the client left, as it should

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def silence(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def drip_head(stream: trio.SocketStream) -> None:
    await stream.send_all(HEAD)
    while True:
        await stream.send_all(b"X-A: b\r\n")
        await trio.sleep(0.05)


async def drip_body(stream: trio.SocketStream) -> None:
    await stream.send_all(HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        await stream.send_all(b" ")
        await trio.sleep(0.05)


async def endless_body(stream: trio.SocketStream) -> None:
    await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    while True:
        await stream.send_all(chunk)


async def endless_head(stream: trio.SocketStream) -> None:
    await stream.send_all(HEAD)
    while True:
        await stream.send_all(b"X-A: " + b"b" * 10_000 + b"\r\n")


async def cut_off(stream: trio.SocketStream) -> None:
    await stream.send_all(HEAD + b"Content-Length: 1000\r\n\r\n{")
    await stream.aclose()


async def no_http(stream: trio.SocketStream) -> None:
    await stream.send_all(b"220 smtp.example ESMTP\r\n")
    await trio.sleep_forever()


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.aclose()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (silence, "no answer in time (ReadTimeout)"),
        (drip_head, "the answer was not complete after 0.6 s"),
        (drip_body, "the answer was not complete after 0.6 s"),
        (endless_body, "the answer has more than 1000000 bytes"),
        (endless_head, "no answer"),
        (cut_off, "no answer"),
        (no_http, "no answer"),
        (hang_up, "no answer"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_server_that_misbehaves_costs_a_bounded_time_and_size(behaviour, words, store, term):
    async with speaking(behaviour) as url:
        began = time.monotonic()
        source = Source("s", url, filter=make_filter(kinds=[Kind.CONCEPT_DESCRIPTION]))
        report = await pull(source, store, term, policy=limited(**QUICK, max_page_bytes=1_000_000))
        assert words in (report.failure or "")
        assert report.received_bytes < 4_000_000  # pages of 100, of 10, of one
        assert time.monotonic() - began < 10


async def test_a_server_that_is_not_there_is_a_failure_of_the_pull(store, term):
    with trio.socket.socket() as probe:
        await probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    report = await pull(Source("s", f"http://127.0.0.1:{port}"), store, term, policy=POLICY)
    assert "no answer" in (report.failure or "")


def zipped(text: bytes) -> Said:
    return Said(200, gzip.compress(text), {"Content-Encoding": "gzip"})


async def test_a_zipped_answer_is_taken(other, store, pull_it):
    other.instead = lambda _: zipped(json.dumps({"paging_metadata": {}, "result": [submodel(A)]}).encode())
    await pull_it(SUBMODELS)
    assert await ids(store) == [A]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (zipped(b" " * (64 << 20)), "the answer has more than"),
        (Said(200, gzip.compress(b"{}" * 10)[:-9], {"Content-Encoding": "gzip"}), "ends in the middle"),
        (Said(200, b"no gzip", {"Content-Encoding": "gzip"}), "is no gzip"),
        (Said(200, b"{}", {"Content-Encoding": "br"}), "encoded as br"),
        (Said(200, b""), "the answer"),
        (Said(200, b"<html>"), "the answer"),
        (Said(200, b"\xff\xfe{\x00"), "the answer is not UTF-8"),
        (Said(200, b"[]"), "is no list of the API"),
        (Said(200, b"{}"), "is no list of the API"),
        (Said(200, b'{"result": {}}'), "is no list of the API"),
        (Said(200, b'{"result": [1]}'), "items that are no objects"),
        (Said(200, b'{"result": [null]}'), "items that are no objects"),
        (Said(200, b'{"result": [], "messages": [{}]}'), "objects in other places"),
        (Said(200, b'{"result": [{}'), "ends in the middle"),
        (Said(200, b"[" * 100_000), "nested deeper than"),
        (Said(200, b'{"result": [], "result": [{}]}'), "given twice"),
        (Said(200, b'{"result": [], "paging_metadata": {"cursor": "%s"}}' % (b"c" * 5000)), "a cursor of 5000"),
        (Said(401), "answers 401"),
        (Said(403), "answers 403"),
        (Said(404), "answers 404"),
        (Said(304), "the server answers 304"),
        (Said(429), "the server answers 429"),
        (Said(500), "the server answers 500"),
        (Said(503), "the server answers 503"),
        (Said(206, b"{}"), "the server answers 206"),
    ],
)
async def test_a_list_that_is_none_is_a_failure_and_deletes_nothing(said, words, other, store, pull_it):
    other.put("submodels", submodel(A))
    await pull_it(SUBMODELS)
    other.instead = lambda _: said
    report = await pull_it(SUBMODELS)
    assert words in (report.failure or "")
    assert report.changed == 0
    assert await ids(store) == [A]
    other.instead = lambda _: None
    assert (await pull_it(SUBMODELS)).failure is None


async def test_a_list_that_goes_round_in_a_circle_ends(other, store, pull_it):
    other.put("submodels", submodel(A))

    def circle(asked):
        cursor = "b" if asked.query.get("cursor") == "a" else "a"
        return Said(200, json.dumps({"paging_metadata": {"cursor": cursor}, "result": [submodel(A)]}).encode())

    other.instead = circle
    report = await pull_it(SUBMODELS)
    assert "in a circle" in (report.failure or "")
    assert len(other.asked) < 6
    other.instead = lambda _: None
    assert (await pull_it(SUBMODELS)).summary() == "other: 1 unchanged"


async def test_a_list_without_end_ends(other, pull_it):
    def endless(asked):
        following = str(int(asked.query.get("cursor", "0")) + 1)
        return Said(200, json.dumps({"paging_metadata": {"cursor": following}, "result": []}).encode())

    other.instead = endless
    report = await pull_it(SUBMODELS, policy=limited(max_pages=20))
    assert "more than 20 pages" in (report.failure or "")


def deep(levels: int) -> bytes:
    return b'{"modelType":"Submodel","id":"urn:a","extensions":' + b"[" * levels + b"]" * levels + b"}"


DOCUMENTS = {
    "another id": (json.dumps(submodel("urn:other")).encode(), "another id"),
    "another kind": (json.dumps({**submodel(A), "modelType": "ConceptDescription"}).encode(), ""),
    "no model": (b'{"id":"urn:a"}', ""),
    "an unknown member": (json.dumps({**submodel(A), "evil": 1}).encode(), ""),
    "a constraint": (json.dumps(submodel(A, idShort="1 2")).encode(), "idShort"),
    "a member twice": (b'{"modelType":"Submodel","id":"urn:a","category":"a","category":"b"}', "given twice"),
    "too deep": (deep(100), "nested deeper than 64 levels"),
    "far too deep": (deep(5000), ""),
    "NUL": (b'{"modelType":"Submodel","id":"urn:a","category":"\\u0000"}', "NUL"),
    "a lone surrogate": (b'{"modelType":"Submodel","id":"urn:a","category":"\\ud800"}', "is no JSON"),
    "a number beyond 64 bits": (b'{"modelType":"Submodel","id":"urn:a","x":123456789012345678901234567890}', ""),
    "too large": (json.dumps(submodel(A, submodelElements=[prop(f"P{n}") for n in range(2000)])).encode(), "bytes"),
    "no JSON": (b"<html>", "is no JSON"),
    "no object": (b"[]", ""),
}


@pytest.mark.parametrize(("document", "words"), DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize("has_copy", [False, True], ids=["new", "known"])
async def test_a_document_that_cannot_be_taken_is_named_and_stops_no_other(
    document, words, has_copy, other, store, pull_it
):
    other.has_references = other.has_tags = True
    other.put("submodels", submodel(A), submodel(B))
    if has_copy:
        await pull_it(SUBMODELS)
    path = f"/submodels/{encode_identifier(A)}"
    other.instead = lambda asked: Said(200, document, {"ETag": '"bad"'}) if asked.path == path else None
    other.put("submodels", submodel(B, idShort="New"))
    policy = limited(max_document_bytes=100_000)
    report = await pull_it(SUBMODELS, policy=policy)
    assert report.failure is None
    (refusal,) = report.refusals
    assert (refusal.kind, refusal.id) == (Kind.SUBMODEL, A)
    assert words in refusal.reason
    assert report.count(Outcome.REPLACED if has_copy else Outcome.CREATED) == 1
    stored = await store.get(Kind.SUBMODEL, A)
    assert (stored is not None) is has_copy
    assert stored is None or json.loads(stored.body) == submodel(A)
    assert (await pull_it(SUBMODELS, policy=policy)).count(Outcome.REFUSED) == 1  # and is told again


@pytest.mark.parametrize(
    "item",
    [
        b'{"modelType":"Submodel","id":"urn:x","id":"urn:x"}',
        b'{"modelType":"Submodel","id":""}',
        b'{"modelType":"Submodel","id":5}',
        b'{"modelType":"Submodel"}',
        b'{"modelType":"Submodel","id":"%s"}' % (b"x" * 2049),
        b'{"modelType":"Submodel","id":"\\u0001"}',
        b'{"modelType":"Submodel","id":"a}',
        b'{"a":[}]',
        b'{"modelType":"Submodel","id":"urn:x","x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    ],
)
async def test_an_item_of_a_list_that_cannot_be_taken_stops_no_other(item, other, store, pull_it):
    listed = b'{"paging_metadata":{},"result":[%b,%b]}' % (item, json.dumps(submodel(B)).encode())
    other.instead = lambda _: Said(200, listed)
    report = await pull_it(SUBMODELS)
    if report.failure is None:
        assert report.count(Outcome.REFUSED) == 1
        assert await ids(store) == [B]
    else:  # what makes the list itself no JSON
        assert b"a}" in item or b"[}" in item
        assert await ids(store) == []


async def test_leniently_what_breaks_a_constraint_is_taken_and_what_is_malformed_is_not(other, store, pull_it):
    other.put("submodels", submodel(A, idShort="1 2"), {**submodel(B), "evil": 1})
    report = await pull_it(SUBMODELS, policy=limited())
    assert report.count(Outcome.REFUSED) == 2
    report = await pull_it(SUBMODELS, policy=replace(POLICY, is_lenient=True))
    assert report.summary() == "other: 1 created, 1 refused"
    assert await ids(store) == [A]


@pytest.mark.parametrize("said", [Said(500), Said(503), Said(302, headers={"Location": "/"}), Said(403)])
async def test_one_document_that_cannot_be_had_stops_no_other_but_many_in_a_row_do(said, other, store, pull_it):
    other.has_references = other.has_tags = True
    other.put("submodels", *[submodel(f"urn:{number:02}") for number in range(40)])
    bad = {encode_identifier("urn:07")}
    other.instead = lambda asked: said if asked.path.rpartition("/")[2] in bad else None
    report = await pull_it(SUBMODELS)
    assert report.failure is None
    assert report.summary() == "other: 39 created, 1 refused"
    bad |= {encode_identifier(f"urn:{number:02}") for number in range(10, 40)}
    other.forget()
    report = await pull_it(SUBMODELS)
    assert "documents in a row could not be had" in (report.failure or "")
    assert len(other.asked) < 30
    assert len(await ids(store)) == 39


async def test_a_document_that_drips_is_refused_and_the_others_are_not(store, term):
    names = [encode_identifier(A), encode_identifier(B)]

    async def behaviour(stream: trio.SocketStream) -> None:
        await stream.send_all(HEAD + b"Content-Length: 100\r\n\r\n ")
        await trio.sleep_forever()

    async with speaking(behaviour) as url:
        source = Source("s", url, filter=make_filter(kinds=[Kind.SUBMODEL], ids=[A, B]))
        report = await pull(source, store, term, policy=limited(**QUICK))
    assert report.failure is None
    assert len(names) == report.count(Outcome.REFUSED)
    assert {refusal.reason for refusal in report.refusals} == {"no answer in time (ReadTimeout)"}


@pytest.mark.parametrize("tag", ["x", '"' * 3, '"' + "x" * 600 + '"', '"a\tb"', "*", ""])
async def test_an_entity_tag_that_is_none_is_never_sent_back(tag, other, pull_it):
    other.put("submodels", submodel(A))
    body = json.dumps(submodel(A)).encode()
    wanted = make_filter(kinds=[Kind.SUBMODEL], ids=[A])
    other.instead = lambda _: Said(200, body, {"ETag": tag})
    for _ in range(2):
        await pull_it(wanted)
    assert all("if-none-match" not in asked.headers for asked in other.asked)


async def test_not_modified_without_having_been_asked_is_no_answer(other, pull_it):
    other.instead = lambda _: Said(304)
    report = await pull_it(make_filter(kinds=[Kind.SUBMODEL], ids=[A]))
    assert report.refusals[0].reason == "the server answers 304; redirects are not followed"


async def test_a_refusal_may_be_shown(other, pull_it):
    other.put("submodels", {**submodel(A), "evil\u001b[2J": 1})
    report = await pull_it(SUBMODELS)
    assert report.refusals[0].reason.isprintable()


async def test_collections_as_deep_as_allowed_are_taken(other, store, pull_it):
    element = prop()
    for _ in range(25):
        element = collection("Group", element)
    other.put("submodels", submodel(A, submodelElements=[element]))
    assert (await pull_it(SUBMODELS)).summary() == "other: 1 created"
