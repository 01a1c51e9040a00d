"""An instance that froze in the middle of a statement holds up others no longer than one that froze between two."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import trio

from tests.support.pgbouncer import running_pgbouncer
from tests.support.postgres import Postgres
from tests.support.postgres_store import QUICK, Opened, opened
from tests.support.raw_postgres import RawSession, parse_message, query_message, raw_session
from tests.support.store_documents import document
from titan.store.contract import Replaced, StoreUnavailable, WriteMode, WriteOutcome

in_thread = trio.to_thread.run_sync

TIMEOUTS = {"statement_timeout": "300", "idle_in_transaction_session_timeout": "300"}
"""What the server does by itself, it has long done when the test looks."""
FROZEN_S = 0.6
LOOKING = replace(QUICK, frozen_s=FROZEN_S)
NOT_LOOKING = replace(QUICK, frozen_s=60)

MID_STATEMENT = parse_message("SELECT 1")
LONG_ANSWER = query_message("SELECT repeat('x', 1000000) FROM generate_series(1, 100)")


@pytest.fixture
def frozen(postgres: Postgres, database: str) -> Iterator[RawSession]:
    """A session of another instance that has locked the document."""
    with raw_session(postgres.port, database, "titan", application_name="titan-aas/frozen", **TIMEOUTS) as session:
        yield session


def lock(frozen: RawSession) -> None:
    frozen.run("BEGIN; UPDATE titan_document SET modified_ms = modified_ms WHERE id = 'a'")


async def sessions(postgres: Postgres, database: str) -> str:
    """Count the sessions of the other instance."""
    sql = (
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'titan-aas/frozen' AND datname = '{database}'"
    )
    return await in_thread(postgres.psql, sql, database)


async def assert_its_locks_go(it: Opened, frozen: RawSession, message: bytes) -> None:
    await it.store.write(document("a"), WriteMode.CREATE)
    await in_thread(lock, frozen)
    frozen.say(message)
    with trio.fail_after(FROZEN_S + 5):
        while (outcome := await written(it)) is None:
            pass
    assert isinstance(outcome, Replaced)


async def written(it: Opened) -> WriteOutcome | None:
    """Replace the document; None where that took too long."""
    try:
        return await it.store.write(document("a", text="new"), WriteMode.REPLACE)
    except StoreUnavailable:
        return None


@pytest.mark.parametrize("message", [MID_STATEMENT, LONG_ANSWER], ids=["in the middle of a statement", "no reader"])
async def test_its_locks_go_with_it(message, postgres, database, frozen):
    async with opened(postgres.url(database), limits=LOOKING) as it:
        await assert_its_locks_go(it, frozen, message)
    assert await sessions(postgres, database) == "0"


async def test_so_they_do_where_instances_use_a_pooler(postgres, database, frozen):
    with running_pgbouncer(postgres, server_connections=4) as pooler:
        async with opened(pooler.url(database), limits=LOOKING) as it:
            assert it.check.result.detail.endswith("through a pooler")
            await assert_its_locks_go(it, frozen, MID_STATEMENT)


async def test_control_without_a_look_they_stay(postgres, database, frozen):
    async with opened(postgres.url(database), limits=NOT_LOOKING) as it:
        await it.store.write(document("a"), WriteMode.CREATE)
        await in_thread(lock, frozen)
        frozen.say(MID_STATEMENT)
        assert await written(it) is None
        assert await sessions(postgres, database) == "1"


async def test_who_only_reads_and_who_is_somebody_else_is_left_alone(postgres, database):
    """A slow reader holds nothing; another program's sessions are its own business."""
    other = {"application_name": "stranger"}
    reader = {"application_name": "titan-aas/reader"}
    async with opened(postgres.url(database), limits=LOOKING) as it:
        with (
            raw_session(postgres.port, database, "titan", **other) as stranger,
            raw_session(postgres.port, database, "titan", **reader) as slow,
        ):
            stranger.run("BEGIN; SELECT pg_current_xact_id()")
            stranger.say(MID_STATEMENT)
            slow.say(LONG_ANSWER)
            await trio.sleep(3 * FROZEN_S)
            left = "SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('stranger', 'titan-aas/reader')"
            assert await in_thread(postgres.psql, left, database) == "2"
        await it.store.write(document("b"), WriteMode.CREATE)


@pytest.mark.parametrize("right", ["SELECT ON pg_stat_activity", "EXECUTE ON FUNCTION pg_terminate_backend"])
async def test_without_the_right_to_look_or_to_end_it_serves_all_the_same(right, postgres, database, frozen):
    await in_thread(postgres.psql, f"REVOKE {right} FROM PUBLIC", database)
    async with opened(postgres.url(database), limits=LOOKING) as it:
        await it.store.write(document("a"), WriteMode.CREATE)
        await in_thread(lock, frozen)
        frozen.say(MID_STATEMENT)
        await trio.sleep(2 * FROZEN_S)  # looked for in vain, many times
        await it.store.write(document("b"), WriteMode.CREATE)
        assert [line for line in it.lines if " down" in line] == []
    assert await sessions(postgres, database) == "1"
