"""A store that is away, full, slow or unsure: said to the client in time, with when to come back."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.client import Client, url
from tests.support.documents import shell
from tests.support.troubled_store import TroubledStore
from titan.store.contract import OutcomeUnknown, StoreDamaged, StoreFull, StoreUnavailable

CALLS: list[tuple[str, str, Any]] = [
    ("GET", "/shells", None),
    ("GET", url("/shells", "s"), None),
    ("POST", "/shells", shell("s")),
    ("PUT", url("/shells", "s"), shell("s")),
    ("DELETE", url("/shells", "s"), None),
]
WRITES = CALLS[2:]


@pytest.fixture
def store(services):
    return TroubledStore(services.store)


@pytest.fixture
def client(services, store):
    return Client(replace(services, store=store, budget_s=0.2))


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_away(client, store, method, path, body):
    store.error = StoreUnavailable("the database is locked", retry_after_s=2.3)
    answer = await client(method, path, body)
    assert (answer.status, answer.headers["retry-after"]) == (503, "3")
    assert "locked" in answer.texts[0]
    assert answer.response.because == "the database is locked"
    assert answer.json["messages"][0]["messageType"] == "Exception"


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_too_slow(client, store, method, path, body):
    store.is_stuck = True
    answer = await client(method, path, body)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert ("not known" in answer.texts[0]) == (method != "GET")
    assert answer.response.because == "the store did not answer in time"


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_full(client, store, method, path, body):
    store.error = StoreFull("disk I/O error")
    answer = await client(method, path, body)
    assert answer.status == 507
    assert "no room" in answer.texts[0]
    assert answer.response.because == "disk I/O error"
    assert "retry-after" in answer.headers


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_outcome_unknown(client, store, method, path, body):
    store.error = OutcomeUnknown("the writer process ended")
    answer = await client(method, path, body)
    assert answer.status == 503
    assert "may have been carried out" in answer.texts[0]
    assert answer.response.because == "outcome unknown: the writer process ended"


async def test_a_damaged_store_is_not_the_clients_business(client, store):
    store.error = StoreDamaged("page 7")
    with pytest.raises(StoreDamaged):
        await client("GET", "/shells")


async def test_a_write_whose_answer_was_lost_is_repeated_safely_by_its_key(client, store):
    store.answers_lost = True
    lost = await client("POST", "/shells", shell("s"), idempotency_key="k")
    assert lost.status == 503
    store.answers_lost = False
    again = await client("POST", "/shells", shell("s"), idempotency_key="k")
    assert (again.status, again.json) == (201, shell("s"))
    assert (await client("POST", "/shells", shell("s"))).status == 409
