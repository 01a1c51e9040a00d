"""Several instances over one database: the same events from each, and no gap whatever is taken away."""

import uuid
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import trio

from tests.support.documents import shell
from tests.support.events import following, pages
from tests.support.postgres import Postgres
from tests.support.postgres_store import fresh_database
from tests.support.redis import RedisServer, running_redis
from tests.support.server import Server, serving
from tests.support.websocket import telling
from titan.model.identifiers import encode_identifier


class Pair:
    """Two instances and what they share."""

    def __init__(self, first: Server, second: Server, redis: RedisServer | None, name: str) -> None:
        self.first, self.second, self.redis, self.name = first, second, redis, name

    def put(self, server: Server, number: int) -> None:
        document_id = f"{self.name}:{number}"
        path = f"{server.url}/shells/{encode_identifier(document_id)}"
        assert httpx.put(path, json=shell(document_id), timeout=10).status_code in {201, 204}

    def put_each(self, numbers: range) -> None:
        """Write at both in turn."""
        for number in numbers:
            self.put((self.first, self.second)[number % 2], number % 5)

    async def put_all(self, numbers: range) -> None:
        """Do the same beside what else a test does."""
        await trio.to_thread.run_sync(self.put_each, numbers)


@pytest.fixture(scope="module", params=["with Redis", "without Redis"])
def _servers(request, tmp_path_factory, postgres: Postgres):
    folder = tmp_path_factory.mktemp("instances")
    with ExitStack() as stack:
        settings = {"DATABASE_URL": postgres.url(stack.enter_context(fresh_database(postgres)))}
        redis = stack.enter_context(running_redis()) if request.param == "with Redis" else None
        if redis is not None:
            settings["REDIS_URL"] = redis.url()
        first, second = (stack.enter_context(serving(folder / name, settings=settings)) for name in "ab")
        yield first, second, redis


@pytest.fixture
def pair(_servers) -> Pair:
    first, second, redis = _servers
    return Pair(first, second, redis, f"urn:test:{uuid.uuid4()}")


def told(events: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(event["id"], event["source"], event["type"], event["subject"]) for event in events]


def in_order(events: list[dict[str, Any]]) -> bool:
    """Say whether each document's revisions grow."""
    newest: dict[str, int] = {}
    for event in events:
        revision = int(event["revision"])
        if revision <= newest.get(event["subject"], 0):
            return False
        newest[event["subject"]] = revision
    return True


async def test_both_tell_the_same_whichever_took_the_write(pair):
    async with following(pair.first.url) as one, following(pair.second.url) as two:
        await pair.put_all(range(20))
        first, second = await one.events(20), await two.events(20)
    assert sorted(told(first)) == sorted(told(second))
    assert in_order(first)
    assert in_order(second)


async def test_a_cursor_of_one_goes_on_at_the_other(pair):
    async with following(pair.first.url) as client:
        await pair.put_all(range(10))
        heard = await client.events(10)
    for place in (0, 4, 8):
        behind = list(pages(pair.second.url, heard[place]["cursor"], limit=3))
        assert {event["id"] for event in behind} >= {event["id"] for event in heard[place + 1 :]}
    async with following(pair.second.url, f"?cursor={heard[4]['cursor']}") as client:
        assert {event["id"] for event in await client.events(5)} == {event["id"] for event in heard[5:]}


def test_a_websocket_of_each_tells_the_same_and_goes_on_at_the_other(pair):
    with telling(pair.first.url) as one, telling(pair.second.url) as two:
        pair.put_each(range(20))
        first, second = one.events(20), two.events(20)
    assert sorted(told(first)) == sorted(told(second))
    assert in_order(first)
    assert in_order(second)
    with telling(pair.second.url, f"?cursor={first[9]['cursor']}") as again:
        assert {event["id"] for event in again.events(10)} == {event["id"] for event in first[10:]}


async def test_a_foreign_transaction_that_stays_open_holds_nothing_up(pair, postgres: Postgres):
    async with following(pair.second.url) as client:
        with postgres.session("SELECT pg_current_xact_id()"):
            await pair.put_all(range(4))
            assert len(await client.events(4)) == 4
        await pair.put_all(range(4))
        assert in_order(await client.events(4))


@pytest.mark.parametrize("_servers", ["with Redis"], indirect=True)
async def test_what_redis_does_is_of_no_matter_to_whoever_follows(pair):
    assert pair.redis is not None
    async with following(pair.second.url) as client:
        pair.redis.kill()
        try:
            await pair.put_all(range(6))
            heard = await client.events(6)
        finally:
            pair.redis.start()
        await pair.put_all(range(6))
        heard += await client.events(6)
    assert in_order(heard)
