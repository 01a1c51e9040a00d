"""A COMMIT that was sent: cancellation does not abandon it, the deadline does, a warning is no acknowledgement.

The server waits for a synchronous standby that is not there, which no time-out of its own ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
import trio

from tests.support.postgres import Postgres, running_server
from tests.support.postgres_store import fresh_database, opened
from tests.support.store_documents import document
from titan.store.contract import Created, Idempotency, IdempotencyRunning, Kind, OutcomeUnknown, Replayed, WriteMode
from titan.store.postgres import write_sql, writes
from titan.store.postgres.session import Session

T = TypeVar("T")

KEY = Idempotency(b"scope", b"request")
IN_COMMIT = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_server() as running:
        yield running


@pytest.fixture
async def it(server):
    with fresh_database(server) as name:
        async with opened(server.url(name)) as stores:
            yield stores


@pytest.fixture
async def standby(server, it):
    """Standbys to wait for, and their arrival."""
    await ask(server, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    await ask(server, "SELECT pg_reload_conf()")

    async def arrives() -> None:
        await ask(server, "ALTER SYSTEM RESET synchronous_standby_names")
        await ask(server, "SELECT pg_reload_conf()")

    yield arrives
    await arrives()


async def ask(server: Postgres, sql: str) -> str:
    return await trio.to_thread.run_sync(server.psql, sql)


async def wait_in_commit(server: Postgres) -> str:
    """Return the process that waits for its standby, once there is one."""
    return await eventually(lambda: ask(server, IN_COMMIT))


async def eventually(look: Callable[[], Awaitable[T]]) -> T:
    """Return what `look()` gives as soon as it gives something."""
    with trio.fail_after(10):
        while not (found := await look()):  # noqa: ASYNC110  (what is waited for is in another process)
            await trio.sleep(0.01)
    return found


async def test_at_the_deadline_the_outcome_is_unknown_and_the_server_is_not_asked_to_cancel(server, it, standby):
    begun = trio.current_time()
    with pytest.raises(OutcomeUnknown, match="never came"), trio.fail_after(0.5):
        await it.store.write(document(), WriteMode.CREATE)
    assert 0.4 < trio.current_time() - begun < 1.5
    await trio.sleep(0.2)  # a cancel request would have been heard by now, see the control below
    assert await ask(server, IN_COMMIT) != ""
    assert await it.store.get(Kind.SHELL, "urn:test:one") is None
    await standby()
    await until_there(it)


async def test_control_the_drivers_own_cancellation_makes_it_visible_without_the_standby(
    server, it, standby, monkeypatch
):
    async def cancel_like_any_statement(session) -> None:
        await session._connection.execute("COMMIT")

    monkeypatch.setattr("titan.store.postgres.session.Session.commit", cancel_like_any_statement)
    with trio.move_on_after(0.3):
        await it.store.write(document(), WriteMode.CREATE)
    await until_there(it)
    assert await ask(server, IN_COMMIT) == ""


async def test_a_cancelled_caller_waits_for_it_and_gets_the_outcome(server, it, standby):
    outcomes = []

    async def write(scope: trio.CancelScope) -> None:
        with scope:
            outcomes.append(await it.store.write(document(), WriteMode.CREATE))

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(write, scope)
        await wait_in_commit(server)
        scope.cancel()
        await trio.sleep(0.1)
        assert outcomes == []
        assert it.island.statistics.pending > 1  # the probe's is the other
        await standby()
    assert isinstance(outcomes[0], Created)
    assert not scope.cancelled_caught


async def test_a_commit_that_comes_with_a_warning_is_not_acknowledged(server, it, standby):
    async with trio.open_nursery() as nursery:

        async def write() -> None:
            with pytest.raises(OutcomeUnknown, match="canceling wait for synchronous replication"):
                await it.store.write(document(), WriteMode.CREATE)

        nursery.start_soon(write)
        await ask(server, f"SELECT pg_cancel_backend({await wait_in_commit(server)})")
    await until_there(it)  # it is committed here, and perhaps nowhere else


async def cut_short(server: Postgres, it, operation, *args) -> None:
    """Leave a write committed whose COMMIT did not wait for the standby."""
    async with trio.open_nursery() as nursery:

        async def write() -> None:
            with pytest.raises(OutcomeUnknown, match="warning"):
                await it.island.run(it.database.use, operation, *args)

        nursery.start_soon(write)
        await ask(server, f"SELECT pg_cancel_backend({await wait_in_commit(server)})")


@pytest.fixture(params=["the document is there", "the document is deleted again"])
async def cut(request, server, it, standby):
    """A record that is here and not on the standby. Deleted, its document is no row that a replay would lock."""
    await cut_short(server, it, writes.write, document(), WriteMode.CREATE, None, KEY, None)
    if request.param == "the document is deleted again":
        await cut_short(server, it, writes.delete, Kind.SHELL, "urn:test:one", None, None)
    return request.param


async def test_a_replay_is_not_told_before_the_standby_has_what_it_tells(it, standby, cut):
    with pytest.raises(OutcomeUnknown), trio.fail_after(0.3):
        await it.store.write(document(), WriteMode.CREATE, idempotency=KEY)
    assert await it.store.write(document(), WriteMode.CREATE, idempotency=KEY) == IdempotencyRunning()
    await standby()
    await until_let_go(it)
    assert isinstance(await it.store.write(document(), WriteMode.CREATE, idempotency=KEY), Replayed)


@pytest.mark.parametrize("cut", ["the document is deleted again"], indirect=True)
async def test_control_a_replay_that_writes_nothing_does_not_wait(it, cut, monkeypatch):
    monkeypatch.setattr(write_sql, "WAIT_FOR_STANDBY", "SELECT 1")
    with trio.fail_after(1):
        assert isinstance(await it.store.write(document(), WriteMode.CREATE, idempotency=KEY), Replayed)


async def test_while_the_first_try_is_still_under_way_its_outcome_stays_unknown(it, standby, monkeypatch):
    async def lose_the_connection(session: Session) -> None:
        commit = asyncio.ensure_future(session._connection.execute("COMMIT"))
        await asyncio.sleep(0.1)
        session.drop()
        await asyncio.wait({commit})
        commit.exception()
        raise OutcomeUnknown("lost")

    monkeypatch.setattr(Session, "commit", lose_the_connection)
    with pytest.raises(OutcomeUnknown, match="lost"), trio.fail_after(5):
        await it.store.write(document(), WriteMode.CREATE, idempotency=KEY)
    monkeypatch.undo()
    assert await it.store.write(document(), WriteMode.CREATE, idempotency=KEY) == IdempotencyRunning()


async def until_there(it) -> None:
    await eventually(lambda: it.store.get(Kind.SHELL, "urn:test:one"))


async def until_let_go(it) -> None:
    """Wait until the server has ended the transaction whose client gave up."""

    async def is_over() -> bool:
        outcome = await it.store.write(document(), WriteMode.CREATE, idempotency=KEY)
        return not isinstance(outcome, IdempotencyRunning)

    await eventually(is_over)
