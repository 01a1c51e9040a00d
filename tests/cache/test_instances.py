"""Two whole instances over one database, with a Redis and without: what one writes the other soon shows."""

import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import httpx
import pytest

from tests.bench.twins import submodel
from tests.support.postgres import Postgres
from tests.support.postgres_store import fresh_database
from tests.support.redis import running_redis
from tests.support.server import Server, serving
from tests.support.waiting import wait_until

SESSION = "X-Titan-Session"


class Pair(NamedTuple):
    """Two instances, and the document that one test is about."""

    first: Server
    second: Server
    database: str
    name: str

    @property
    def path(self) -> str:
        return "/submodels/" + urlsafe_b64encode(self.name.encode()).decode().rstrip("=")

    def content(self, value: str) -> bytes:
        """Return the document with this value, in its category."""
        return submodel(self.name, 1024).replace(b'"idShort"', b'"category":"%b","idShort"' % value.encode(), 1)

    def put(self, server: Server, value: str, **headers: str) -> httpx.Response:
        headers |= {"Content-Type": "application/json"}
        answer = httpx.put(server.url + self.path, content=self.content(value), headers=headers)
        assert answer.status_code in {201, 204}, answer.text
        return answer

    def get(self, server: Server, **headers: str) -> httpx.Response:
        return httpx.get(server.url + self.path, headers=headers)

    def shows(self, server: Server, wanted: str) -> bool:
        return self.shown(server) == wanted

    def shown(self, server: Server, **headers: str) -> str:
        return value(self.get(server, **headers))


@pytest.fixture(scope="module", params=["with Redis", "without Redis"])
def _servers(request, tmp_path_factory, postgres: Postgres) -> Iterator[tuple[Server, Server, str]]:
    tmp_path = tmp_path_factory.mktemp("instances")
    with ExitStack() as stack:
        database = stack.enter_context(fresh_database(postgres))
        settings = {"DATABASE_URL": postgres.url(database)}
        if request.param == "with Redis":
            settings["REDIS_URL"] = stack.enter_context(running_redis()).url()
        first, second = (stack.enter_context(serving(tmp_path / name, settings=settings)) for name in "ab")
        yield first, second, database


@pytest.fixture
def pair(_servers: tuple[Server, Server, str]) -> Pair:
    return Pair(*_servers, f"urn:test:{uuid.uuid4()}")


def value(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["category"])


def requests(server: Server, tier: str, outcome: str) -> float:
    """Return how often a tier was asked with that outcome."""
    name = f'titan_cache_requests_total{{outcome="{outcome}",tier="{tier}"}} '
    alike = f'titan_cache_requests_total{{tier="{tier}",outcome="{outcome}"}} '
    for line in httpx.get(f"{server.url}/metrics").text.splitlines():
        if line.startswith((name, alike)):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def test_what_one_writes_the_other_shows_within_a_second_and_who_asks_for_it_at_once(pair):
    first, second = pair.first, pair.second
    pair.put(first, "v0")
    for number in range(1, 6):
        assert pair.shown(second) in {f"v{number - 1}", f"v{number}"}
        pair.put(first, f"v{number}")
        written = time.monotonic()
        assert pair.shown(first) == f"v{number}"
        assert pair.shown(second, **{"Cache-Control": "no-cache"}) == f"v{number}"
        wait_until(partial(pair.shows, second, f"v{number}"), within_s=1.0 - (time.monotonic() - written))


def test_a_session_reads_its_own_write_and_never_goes_back_wherever_it_asks(pair):
    servers = (pair.first, pair.second)
    token = ""
    for number in range(20):
        writer, reader = servers[number % 2], servers[1 - number % 2]
        pair.get(reader)  # caches what is about to be replaced
        token = pair.put(writer, f"v{number}", **({SESSION: token} if token else {})).headers[SESSION]
        for server in (reader, writer, reader):
            answer = pair.get(server, **{SESSION: token})
            assert value(answer) == f"v{number}"
            token = answer.headers[SESSION]


def test_a_browser_needs_nothing_but_its_cookie(pair):
    first, second = pair.first, pair.second
    with httpx.Client() as browser:
        for number in range(10):
            pair.get(second)
            json = {"Content-Type": "application/json"}
            browser.put(first.url + pair.path, content=pair.content(f"v{number}"), headers=json)
            assert browser.cookies["titan_session"]
            assert value(browser.get(second.url + pair.path)) == f"v{number}"


def test_absence_is_not_gone_back_on(pair):
    first, second = pair.first, pair.second
    pair.put(first, "there")
    pair.get(second)
    assert httpx.delete(first.url + pair.path).status_code == 204
    gone = pair.get(first)
    assert gone.status_code == 404
    assert pair.get(second, **{SESSION: gone.headers[SESSION]}).status_code == 404


def test_hot_reads_are_answered_from_memory(pair):
    first = pair.first
    pair.put(first, "hot")
    before = requests(first, "memory", "hit")
    answers = {pair.get(first).content for _ in range(10)} | {pair.get(first, **{"Cache-Control": "no-cache"}).content}
    assert len(answers) == 1
    assert requests(first, "memory", "hit") >= before + 10


@pytest.mark.parametrize("_servers", ["with Redis"], indirect=True)
def test_what_one_instance_wrote_another_one_reads_from_redis(pair):
    first, second = pair.first, pair.second
    before = requests(second, "redis", "hit")
    pair.put(first, "shared")
    answer = pair.get(second)
    assert value(answer) == "shared"
    assert answer.content == pair.get(first).content
    assert answer.headers["ETag"] == pair.get(first).headers["ETag"]
    assert requests(second, "redis", "hit") == before + 1


def test_readiness_names_what_is_configured(pair, request):
    checks = httpx.get(f"{pair.first.url}/health/ready").json()["checks"]
    redis = set() if "without" in request.node.name else {"redis"}
    assert checks.keys() == {"database", "change_feed"} | redis
    assert {check["status"] for check in checks.values()} == {"up"}


def test_while_every_connection_of_the_pool_is_stuck_what_is_cached_is_still_answered(pair, postgres):
    pair.put(pair.first, "hot")
    assert pair.shown(pair.first) == "hot"
    with ThreadPoolExecutor(30) as clients, postgres.session("BEGIN; LOCK TABLE titan_document", pair.database):
        stuck = [clients.submit(pair.get, pair.first, **{"Cache-Control": "no-cache"}) for _ in range(30)]
        wait_until(lambda: metric(pair.first, "pg_pool_available_connections") == 0, what="the pool is exhausted")
        while not all(future.done() for future in stuck):
            assert pair.shown(pair.first) == "hot"
        assert {future.result().status_code for future in stuck} == {503}
        assert httpx.get(f"{pair.first.url}/health/ready").json()["checks"]["change_feed"]["status"] == "up"


def metric(server: Server, name: str) -> float:
    """Return a metric without labels."""
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))
