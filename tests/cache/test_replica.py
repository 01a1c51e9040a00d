"""When a read goes to a replica and when to the primary: with caches before both, over a real standby."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.postgres import Postgres
from tests.support.postgres_store import Opened, fresh_database, opened
from tests.support.store_documents import document
from tests.support.waiting import until
from titan.cache.memory import Memory
from titan.cache.store import CoherentStore
from titan.cache.tail import Tail
from titan.store.contract import NEWEST, RECENT, Kind, Need, WriteMode

ONE = "urn:test:one"
NEVER = 1 << 62


@pytest.fixture(scope="module")
def standby(postgres: Postgres) -> Iterator[Postgres]:
    made = postgres.standby(synchronous=False)
    yield made
    made.remove()


@pytest.fixture
async def it(postgres: Postgres, standby: Postgres) -> AsyncIterator[Opened]:
    with fresh_database(postgres) as name:
        async with opened(postgres.url(name), read_url=standby.url(name)) as it:
            await it.store.write(document(ONE), WriteMode.CREATE)
            await replicated(it)
            yield it


async def replicated(it: Opened) -> None:
    mark = (await it.store.page(Kind.SHELL)).mark
    while await it.replica.page(Kind.SHELL, terms=(), after=0, limit=1, with_blobs=False, mark=mark) is None:
        await until(lambda: it.replica.is_near)


async def coherent(it: Opened, *, memory_bytes: int = 1 << 20) -> CoherentStore:
    memory = Memory(memory_bytes)
    tail = Tail(on_named=memory.named, on_begin=memory.clear)
    tail.begin(await it.store.latest(100), tail.now())
    return CoherentStore(it.island, it.database, tail, memory, None, it.replica)


async def test_first_the_replica_then_the_primary_which_fills_the_memory_then_that(it):
    store = await coherent(it)
    answers = [await store.find(Kind.SHELL, ONE, need=RECENT) for _ in range(4)]
    assert answers == [await it.store.find(Kind.SHELL, ONE)] * 4
    assert store.requests == {("memory", "miss"): 2, ("replica", "hit"): 1, ("memory", "hit"): 2}


async def test_without_a_memory_to_fill_the_replica_answers_every_time(it):
    store = await coherent(it, memory_bytes=0)
    for _ in range(4):
        await store.find(Kind.SHELL, ONE, need=RECENT)
    assert store.requests["replica", "hit"] == 4


async def test_lists_are_the_replicas_where_they_may_be(it):
    store = await coherent(it)
    assert await store.page(Kind.SHELL, need=RECENT) == await it.store.page(Kind.SHELL)
    assert store.requests == {("replica", "hit"): 1}


async def test_the_newest_is_the_primarys(it):
    store = await coherent(it)
    await store.find(Kind.SHELL, ONE, need=NEWEST)
    await store.page(Kind.SHELL, need=NEWEST)
    assert store.requests == {}


async def test_what_the_replica_does_not_show_the_primary_answers(it):
    store = await coherent(it)
    need = Need(is_newest=False, mark=NEVER)
    assert (await store.find(Kind.SHELL, ONE, need=need)).stored is not None
    assert len((await store.page(Kind.SHELL, need=need)).items) == 1
    assert store.requests["replica", "bypass"] == 2
