"""A schema that this program must not serve is told as soon as it is learnt, and is never served meanwhile."""

from dataclasses import replace

import pytest
import trio

from supervisors.kernel import ChildExited
from tests.support.postgres import running_server
from tests.support.postgres_store import QUICK, fresh_database, opened
from tests.support.store_documents import document
from tests.support.waiting import until
from titan.store.contract import Kind, StoreUnavailable, WriteMode
from titan.store.schema import Fit
from titan.telemetry.health import Status

in_thread = trio.to_thread.run_sync
LATER = "UPDATE titan_schema SET revision = '0099', oldest_program = '{oldest_program}'"


async def test_an_empty_database_is_told_with_what_to_do(postgres):
    url = postgres.create_database("empty")
    async with opened(url, ready=False) as it:
        assert it.check.result.status is Status.DOWN
        (error,) = it.unfit
        assert error.fit is Fit.EMPTY
        assert "run `titan db upgrade`" in it.check.result.detail
        with pytest.raises(StoreUnavailable, match="titan db upgrade"):
            await it.store.get(Kind.SHELL, "x")
        assert not [event for event in it.events if isinstance(event, ChildExited)]
    postgres.drop_database("empty")


async def test_a_schema_that_comes_to_need_a_later_program_is_noticed_while_serving(postgres, database, it):
    await in_thread(postgres.psql, LATER.format(oldest_program="9.9.9"), database)
    await it.wait(Status.DOWN, within_s=2)
    (error,) = it.unfit
    assert error.fit is Fit.TOO_NEW
    with pytest.raises(StoreUnavailable, match=r"needs titan 9\.9\.9"):
        await it.store.write(document(), WriteMode.CREATE)


async def test_a_later_schema_that_names_this_program_is_served(postgres, database, it):
    await in_thread(postgres.psql, LATER.format(oldest_program="0.0.1"), database)
    await trio.sleep(5 * it.database.limits.probe_every_s)
    assert it.check.result.status is Status.UP
    await it.store.write(document(), WriteMode.CREATE)
    assert it.unfit == []


async def test_a_database_that_was_away_is_judged_when_it_comes():
    with running_server() as server, fresh_database(server) as name:
        await in_thread(server.psql, LATER.format(oldest_program="9.9.9"), name)
        await in_thread(server.stop)
        async with opened(server.url(name), ready=False) as it:
            assert it.unfit == []
            await in_thread(server.start)
            await until(lambda: bool(it.unfit), within_s=3)


async def test_a_role_without_the_privileges_is_a_state_with_its_reason(postgres, database, it):
    await it.store.write(document(), WriteMode.CREATE)
    await in_thread(postgres.psql, "CREATE ROLE poor LOGIN", database)
    async with opened(postgres.url(database, user="poor"), limits=replace(QUICK, warm=1), ready=False) as other:
        assert other.check.result.status is Status.DOWN
        assert other.check.result.detail == "permission denied for table titan_schema"
        await in_thread(postgres.psql, "GRANT ALL ON ALL TABLES IN SCHEMA public TO poor", database)
        await other.wait(Status.UP, within_s=3)
        with pytest.raises(StoreUnavailable, match="permission denied for sequence titan_revision"):
            await other.store.write(document(), WriteMode.PUT)
        await in_thread(postgres.psql, "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO poor", database)
        await other.store.write(document(), WriteMode.PUT)
    await in_thread(postgres.psql, "DROP OWNED BY poor", database)
    await in_thread(postgres.psql, "DROP ROLE poor", database)
