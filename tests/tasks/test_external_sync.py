"""How a pull that cannot be made ends: as a failed run with its reason, never as a bug."""

import pytest

from tests.support.fenced import fence
from tests.support.server import free_port
from tests.support.sqlite_files import fresh_database
from titan.settings import Settings
from titan.settings_sync import Sync, SyncSource
from titan.store.contract import Store
from titan.store.sqlite.store import open_sqlite_store
from titan.tasks.table import make_tasks
from titan.tasks.task import Done, Failed, Run, Task


@pytest.fixture
async def store(tmp_path):
    async with open_sqlite_store(fresh_database(tmp_path / "titan.db")) as opened:
        yield opened


def the_task(source: SyncSource) -> Task:
    settings = Settings(sync=Sync(allowed_networks="127.0.0.0/8", sources=(source,)))
    [task] = [task for task in make_tasks(settings) if task.role == "external-sync"]
    assert (task.name, task.every_s) == ("external-sync:there", 300)
    return task


async def run(task: Task, store: Store) -> Done | Failed:
    return await task.work(Run(store, await fence(store, task.role), 0))


async def test_a_server_that_is_not_there_is_a_failure_with_its_reason(store):
    ended = await run(the_task(SyncSource(name="there", url=f"http://127.0.0.1:{free_port()}")), store)
    assert isinstance(ended, Failed)
    assert ended.reason.startswith("there: ")


async def test_a_secret_that_cannot_be_read_any_more_is_a_failure_before_any_request(store, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3same0pen")
    task = the_task(SyncSource(name="there", url="http://127.0.0.1:9", token_file=token))
    token.unlink()
    ended = await run(task, store)
    assert isinstance(ended, Failed)
    assert "credentials cannot be read" in ended.reason
    assert "s3same0pen" not in ended.reason
