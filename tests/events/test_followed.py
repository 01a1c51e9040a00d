"""A client follows the events of one embedded server."""

import httpx
import pytest

from tests.support.documents import shell
from tests.support.events import following, pages
from tests.support.server import Server, serving
from titan.model.identifiers import encode_identifier


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("events") / "data") as running:
        yield running


def post(server: Server, document_id: str) -> None:
    assert httpx.post(f"{server.url}/shells", json=shell(document_id)).status_code == 201


def put(server: Server, document_id: str) -> None:
    path = f"{server.url}/shells/{encode_identifier(document_id)}"
    assert httpx.put(path, json=shell(document_id)).status_code in {201, 204}


def delete(server: Server, document_id: str) -> None:
    assert httpx.delete(f"{server.url}/shells/{encode_identifier(document_id)}").status_code == 204


async def test_a_client_hears_of_each_change_as_it_is_made(server):
    async with following(server.url) as client:
        post(server, "urn:heard")
        put(server, "urn:heard")
        delete(server, "urn:heard")
        told = await client.events(3)
    assert [event["type"].rpartition(".")[2] for event in told] == ["created", "updated", "deleted"]
    assert {event["subject"] for event in told} == {"urn:heard"}
    assert "data" not in told[2]


async def test_who_comes_back_goes_on_behind_the_last_event(server):
    async with following(server.url) as client:
        post(server, "urn:back:1")
        post(server, "urn:back:2")
        first = await client.event()
    put(server, "urn:back:1")
    for query, headers in ((f"?cursor={first['cursor']}", {}), ("", {"Last-Event-ID": first["cursor"]})):
        async with following(server.url, query, **headers) as client:
            assert [event["subject"] for event in await client.events(2)] == ["urn:back:2", "urn:back:1"]
    assert [event["subject"] for event in pages(server.url, first["cursor"])] == ["urn:back:2", "urn:back:1"]


async def test_a_stream_is_ended_at_the_drain_and_says_how_to_go_on(tmp_path):
    with serving(tmp_path / "data") as server:
        async with following(server.url) as client:
            post(server, "urn:drained")
            event = await client.event()
            server.terminate()
            end = await client.end()
            assert (end["reason"], end["cursor"]) == ("leaving", event["cursor"])
        assert server.wait() == 0
