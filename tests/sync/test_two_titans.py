"""Between two real servers: what is in one is in the other, only what changed travels, and both come to rest.

A pull here is what the leader does: the store of the pulling server, opened beside it, and its own database.
"""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import httpx
import pytest
import trio

from tests.support.documents import (
    blob,
    complete_concept_description,
    complete_shell,
    complete_submodel,
    prop,
    submodel,
)
from tests.support.fenced import fence
from tests.support.server import Server, serving_async
from tests.sync.conftest import POLICY, ROLE
from titan.model.identifiers import encode_identifier
from titan.store.contract import Kind, Store
from titan.store.sqlite.store import open_sqlite_store
from titan.sync.filters import make_filter
from titan.sync.listing import PATHS
from titan.sync.pull import pull
from titan.sync.report import Report
from titan.sync.source import Filter, Source

SUBMODELS = make_filter(kinds=[Kind.SUBMODEL])


@dataclass(frozen=True)
class Titan:
    """One server with its store."""

    server: Server
    store: Store
    client: httpx.AsyncClient

    async def put(self, path: str, document: dict[str, object]) -> None:
        answer = await self.client.put(f"{path}/{encode_identifier(str(document['id']))}", json=document)
        assert answer.status_code in {201, 204}, answer.text

    async def delete(self, path: str, document_id: str) -> None:
        assert (await self.client.delete(f"{path}/{encode_identifier(document_id)}")).status_code == 204

    async def all(self, path: str) -> Mapping[str, object]:
        query = {"extent": "withBlobValue"} if path == "/submodels" else {}
        answer = await self.client.get(path, params={"limit": "1000", **query})
        return {document["id"]: document for document in answer.json()["result"]}

    async def pull_from(self, other: "Titan", wanted: Filter | None = None) -> Report:
        source = Source(f"port-{other.server.port}", f"{other.server.url}/api/v3.1", filter=wanted or Filter())
        report = await pull(source, self.store, await fence(self.store, ROLE), policy=POLICY)
        assert report.failure is None, report.failure
        return report


@asynccontextmanager
async def titan(folder) -> AsyncIterator[Titan]:
    async with (
        serving_async(folder) as server,
        open_sqlite_store(folder / "titan.db") as store,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):
        yield Titan(server, store, client)


@pytest.fixture
async def two(tmp_path) -> AsyncIterator[tuple[Titan, Titan]]:
    async with titan(tmp_path / "a") as a, titan(tmp_path / "b") as b:
        yield a, b


async def test_everything_of_one_is_in_the_other(two):
    a, b = two
    documents = {
        Kind.SHELL: complete_shell(),
        Kind.SUBMODEL: complete_submodel(),
        Kind.CONCEPT_DESCRIPTION: complete_concept_description(),
    }
    for kind, document in documents.items():
        await a.put(PATHS[kind], document)
    assert (await b.pull_from(a)).changed == 3
    for path in PATHS.values():
        assert await b.all(path) == await a.all(path)
    assert (await b.pull_from(a)).changed == 0


async def test_only_what_changed_travels(two):
    a, b = two
    numbers = random.Random(1)  # what compresses well would not show what travels
    for number in range(30):
        elements = [prop(f"Property{n}", str(numbers.getrandbits(31))) for n in range(100)]
        await a.put("/submodels", submodel(f"urn:{number}", submodelElements=elements))
    first = await b.pull_from(a, SUBMODELS)
    idle = await b.pull_from(a, SUBMODELS)
    assert idle.summary().endswith("30 unchanged")
    assert idle.received_bytes < first.received_bytes / 50
    await a.put("/submodels", submodel("urn:7", submodelElements=elements[1:]))
    one = await b.pull_from(a, SUBMODELS)
    assert one.summary().endswith("1 replaced, 29 unchanged")
    assert one.received_bytes < first.received_bytes / 10


async def test_a_blob_value_that_changed_travels(two):
    a, b = two
    for value in ("QQ==", "Qg=="):
        await a.put("/submodels", submodel("urn:a", submodelElements=[blob(value=value)]))
        assert (await b.pull_from(a)).changed == 1
        assert await b.all("/submodels") == await a.all("/submodels")


async def test_pulling_from_each_other_comes_to_rest(two):
    a, b = two
    for number in range(5):
        await a.put("/submodels", submodel(f"urn:a:{number}"))
        await b.put("/submodels", submodel(f"urn:b:{number}"))
    await a.put("/submodels", submodel("urn:both", idShort="OfA"))
    await b.put("/submodels", submodel("urn:both", idShort="OfB"))
    await a.pull_from(b, SUBMODELS)
    await b.pull_from(a, SUBMODELS)
    assert await a.all("/submodels") == await b.all("/submodels")
    await assert_at_rest(a, b)


async def assert_at_rest(a: Titan, b: Titan) -> None:
    before = [await one.store.cursor() for one in (a, b)]
    for _ in range(2):
        assert (await a.pull_from(b, SUBMODELS)).changed == 0
        assert (await b.pull_from(a, SUBMODELS)).changed == 0
    assert [await one.store.cursor() for one in (a, b)] == before


@pytest.mark.parametrize("first", ["home", "other"])
async def test_an_edit_and_a_deletion_at_a_documents_home_reach_the_other_whoever_pulls_first(first, two):
    a, b = two
    await a.put("/submodels", submodel("urn:edited"))
    await a.put("/submodels", submodel("urn:deleted"))
    for one, other in ((b, a), (a, b)):
        await one.pull_from(other, SUBMODELS)
    await a.put("/submodels", submodel("urn:edited", idShort="New"))
    await a.delete("/submodels", "urn:deleted")
    for one, other in ((a, b), (b, a), (a, b)) if first == "home" else ((b, a), (a, b)):
        await one.pull_from(other, SUBMODELS)
    assert await a.all("/submodels") == {"urn:edited": submodel("urn:edited", idShort="New")}
    assert await b.all("/submodels") == await a.all("/submodels")
    await assert_at_rest(a, b)


async def test_edits_on_both_sides_and_pulls_in_step_come_to_rest_on_one_of_them(two):
    """In step, both take the other's edit at once and have changed places; one of them then stays."""
    a, b = two
    for one in (a, b):
        await one.put("/submodels", submodel("urn:x"))
    for _ in range(2):
        await in_step(a, b)
    await a.put("/submodels", submodel("urn:x", idShort="OfA"))
    await b.put("/submodels", submodel("urn:x", idShort="OfB"))
    for _ in range(3):
        await in_step(a, b)
    assert await a.all("/submodels") == await b.all("/submodels")
    assert (await a.all("/submodels"))["urn:x"] in (
        submodel("urn:x", idShort="OfA"),
        submodel("urn:x", idShort="OfB"),
    )
    await assert_at_rest(a, b)


async def in_step(a: Titan, b: Titan) -> None:
    """Have each read the other before either writes."""
    barrier = _Barrier(2)

    async def one(reader: Titan, other: Titan) -> None:
        held = replace(reader, store=_Held(reader.store, barrier))  # type: ignore[arg-type]
        await held.pull_from(other, SUBMODELS)
        barrier.leave()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(one, a, b))
        nursery.start_soon(partial(one, b, a))


class _Barrier:
    """Lets all go on once all have come or left."""

    def __init__(self, number: int) -> None:
        self._missing = number
        self._open = trio.Event()

    async def wait(self) -> None:
        self.leave()
        await self._open.wait()

    def leave(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._open.set()


class _Held:
    """A store that waits at the barrier before its first write."""

    def __init__(self, store: Store, barrier: _Barrier) -> None:
        self._store = store
        self._barrier: _Barrier | None = barrier

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def write(self, *args, **members):
        barrier, self._barrier = self._barrier, None
        if barrier is not None:
            await barrier.wait()
        return await self._store.write(*args, **members)


async def test_a_large_collection_arrives_whole_over_many_pages(two):
    a, b = two
    async with trio.open_nursery() as nursery:
        for start in range(4):
            nursery.start_soon(_put_many, a, range(start, 250, 4))
    assert (await b.pull_from(a, SUBMODELS)).changed == 250
    assert await b.all("/submodels") == await a.all("/submodels")


async def _put_many(one: Titan, numbers: range) -> None:
    for number in numbers:
        await one.put("/submodels", submodel(f"urn:{number}"))
