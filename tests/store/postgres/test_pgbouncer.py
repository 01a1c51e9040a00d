"""PgBouncer in transaction mode: found without being told, and nothing of one client reaches another."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
import trio

from tests.support.pgbouncer import PgBouncer, running_pgbouncer
from tests.support.postgres import running_server
from tests.support.postgres_store import PATIENT, fresh_database, opened
from tests.support.store_documents import submodel
from titan.store.contract import Created, Idempotency, Kind, Replaced, Replayed, WriteMode
from titan.store.postgres.limits import Limits
from titan.telemetry.health import Status

in_thread = trio.to_thread.run_sync

IGNORED = f"ignore_startup_parameters = titan.direct, {', '.join(Limits().as_settings())}"


@pytest.fixture(scope="module")
def pooler(postgres) -> Iterator[PgBouncer]:
    with running_pgbouncer(postgres, server_connections=2) as running:
        yield running


async def facts(session) -> dict[str, object]:
    await session.begin()
    names = ("statement_timeout", "idle_in_transaction_session_timeout")
    row = await session.row("SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in names))
    await session.rollback()
    return {"is_pooled": session.is_pooled, **row}


async def test_fifty_clients_over_two_server_connections(postgres, pooler, database):
    """Each client reads back its own documents only; the contract suite says what an operation must do."""
    written = 0

    async with opened(pooler.url(database), limits=PATIENT) as one, opened(pooler.url(database), limits=PATIENT) as two:

        async def client(number: int) -> None:
            nonlocal written
            store = (one, two)[number % 2].store
            for round_ in range(6):
                name = f"urn:client:{number}"
                value = f"{number}-{round_}"
                key = Idempotency(value.encode(), b"request")
                outcome = await store.write(submodel(name, ("a", value)), WriteMode.PUT, idempotency=key)
                assert isinstance(outcome, Replaced if round_ else Created)
                stored = await store.get(Kind.SUBMODEL, name)
                assert stored is not None
                assert (stored.id, stored.revision) == (name, outcome.revision)
                assert value.encode() in stored.body
                again = await store.write(submodel(name, ("a", value)), WriteMode.PUT, idempotency=key)
                assert again == Replayed(outcome)
                page = await store.page(Kind.SUBMODEL, limit=3)
                assert 1 <= len(page.items) <= 3
                written += 1

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(client, number)
            servers = await in_thread(pooler.server_pids, database)
    assert written == 300
    assert len(servers) <= 2


async def test_each_transaction_brings_its_own_settings_and_leaves_none(postgres, pooler, database):
    async with opened(pooler.url(database)) as it:
        found = await it.island.run(it.database.use, facts)
        assert found == {
            "is_pooled": True,
            "statement_timeout": "800ms",
            "idle_in_transaction_session_timeout": "3s",
        }

        async def outside(session) -> str:
            return str((await session.row("SHOW statement_timeout"))["statement_timeout"])

        assert await it.island.run(it.database.use, outside) == "0"


async def test_directly_the_settings_are_the_sessions(url):
    async with opened(url) as it:
        found = await it.island.run(it.database.use, facts)
        assert found["is_pooled"] is False
        assert "pooler" not in it.check.result.detail
        assert found["statement_timeout"] == "800ms"


def plain(postgres) -> AbstractContextManager[PgBouncer]:
    return running_pgbouncer(postgres)


def that_ignores(postgres) -> AbstractContextManager[PgBouncer]:
    return running_pgbouncer(postgres, more=IGNORED)


@pytest.mark.parametrize("make", [plain, that_ignores])
async def test_a_pooler_is_found_whether_it_refuses_or_ignores_our_mark(postgres, database, make):
    with make(postgres) as pooler:
        async with opened(pooler.url(database)) as it:
            assert (await it.island.run(it.database.use, facts))["is_pooled"] is True
            assert it.check.result.detail.endswith(", through a pooler")


@pytest.mark.parametrize(("query", "is_pooled"), [("pgbouncer=true", True), ("pgbouncer=auto", True)])
async def test_the_url_may_say_so(pooler, database, query, is_pooled):
    async with opened(pooler.url(database, query=query)) as it:
        assert (await it.island.run(it.database.use, facts))["is_pooled"] is is_pooled


async def test_a_url_that_denies_the_pooler_is_told_better(pooler, database):
    async with opened(pooler.url(database, query="pgbouncer=false"), ready=False) as it:
        assert it.check.result.status is Status.DOWN
        assert "in spite of pgbouncer=false" in it.check.result.detail


async def test_a_server_behind_the_pooler_that_goes_and_comes(postgres):
    """The pooler answers for a server that is not there; what it says is the reason."""
    with running_server() as server, fresh_database(server) as name, running_pgbouncer(server) as pooler:
        async with opened(pooler.url(name)) as it:
            await in_thread(server.kill)
            await it.wait(Status.DOWN, within_s=3)
            await in_thread(server.start)
            await it.wait(Status.UP, within_s=3)
