"""Migrations of PostgreSQL: up and down on data, by several pods at once, beside the traffic."""

import shutil
import threading
from pathlib import Path

import pytest
import trio

from tests.support.pgbouncer import running_pgbouncer
from tests.support.postgres import Postgres
from tests.support.postgres_load import Load
from tests.support.postgres_programs import run
from tests.support.postgres_store import PATIENT, opened
from tests.support.store_documents import document, submodel
from titan.store.contract import Idempotency, Kind, WriteMode
from titan.store.migrations import on_postgres
from titan.store.migrations.runner import SQLITE, NotMigrated, UnknownRevision, chain
from titan.store.postgres.url import parse
from titan.store.schema import NEWEST_SCHEMA, Schema

in_thread = trio.to_thread.run_sync

NEXT = f"{int(NEWEST_SCHEMA) + 1:04}"
EXPAND = f"""
revision = "{NEXT}"
down_revision = "{NEWEST_SCHEMA}"
oldest_program = "0.1.0"
UP = ("ALTER TABLE titan_document ADD COLUMN colour text",)
DOWN = ("ALTER TABLE titan_document DROP COLUMN colour",)
"""


def schema(server: Postgres, database: str) -> str:
    """Everything but the rows, as SQL."""
    dump = run("pg_dump", "--schema-only", "--no-comments", "-d", server.url(database, user="postgres"))
    return "\n".join(line for line in dump.splitlines() if line and not line.startswith(("--", "\\")))


def rows(server: Postgres, database: str) -> str:
    """Every row of a document."""
    dump = run("pg_dump", "--data-only", "-t", "titan_document", "-t", "titan_element", "-t", "titan_term",
               "-t", "titan_outbox", "-d", server.url(database, user="postgres"))  # fmt: skip
    return "\n".join(line for line in dump.splitlines() if line and not line.startswith(("--", "\\")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The migrations and one more, an expand revision."""
    copied = tmp_path / "postgres"
    shutil.copytree(on_postgres.POSTGRES, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / f"{NEXT}_expand.py").write_text(EXPAND)
    return copied


async def fill(url: str) -> None:
    async with opened(url) as it:
        await it.store.write(document("urn:a"), WriteMode.CREATE, idempotency=Idempotency(b"key", b"body"))
        await it.store.write(submodel("urn:s", ("x", "1"), ("y", "2"), blob="QQ=="), WriteMode.CREATE)
        await it.store.write(document("urn:gone"), WriteMode.CREATE)
        await it.store.delete(Kind.SHELL, "urn:gone")


def test_both_stores_have_the_same_revisions_for_the_same_programs():
    postgres = [(script.revision, script.module.oldest_program) for script in chain(on_postgres.POSTGRES)]
    sqlite = [(script.revision, script.module.oldest_program) for script in chain(SQLITE)]
    assert postgres == sqlite
    assert postgres[-1][0] == NEWEST_SCHEMA


def test_from_empty_to_the_newest_and_what_programs_read_of_it(postgres):
    url = parse(postgres.create_database("from_empty"))
    assert on_postgres.current(url) is None
    on_postgres.upgrade(url)
    assert on_postgres.current(url) == Schema(NEWEST_SCHEMA, chain(on_postgres.POSTGRES)[-1].module.oldest_program)
    on_postgres.upgrade(url)
    on_postgres.downgrade(url, "base")
    assert on_postgres.current(url) is None
    assert "titan" not in schema(postgres, "from_empty").replace("titan;", "")
    postgres.drop_database("from_empty")


async def test_every_step_can_be_gone_down_and_up_on_data(postgres, database, url):
    await fill(url)
    target = parse(url)
    before = rows(postgres, database)
    for script in reversed(chain(on_postgres.POSTGRES)[1:]):
        made = schema(postgres, database)
        await in_thread(on_postgres.downgrade, target, "-1")
        assert schema(postgres, database) != made
        await in_thread(on_postgres.upgrade, target, script.revision)
        assert schema(postgres, database) == made
        await in_thread(on_postgres.downgrade, target, "-1")
    await in_thread(on_postgres.upgrade, target)
    assert rows(postgres, database) == before


@pytest.mark.parametrize("target", ["base", f"-{int(NEWEST_SCHEMA)}"])
async def test_documents_are_not_dropped_by_the_way(postgres, url, target):
    await fill(url)

    def downgrade(*, may_delete_documents: bool = False) -> None:
        on_postgres.downgrade(parse(url), target, may_delete_documents=may_delete_documents)

    with pytest.raises(NotMigrated, match="delete all 2 documents"):
        await in_thread(downgrade)
    await in_thread(lambda: downgrade(may_delete_documents=True))
    assert await in_thread(on_postgres.current, parse(url)) is None


def test_what_is_no_revision_is_refused_with_those_there_are(url):
    for target in ("0099", "-9", "+9", "newest", ""):
        with pytest.raises(UnknownRevision, match="base, head, 0001"):
            on_postgres.upgrade(parse(url), target)


def test_a_schema_of_a_later_program_is_left_alone(url, folder):
    on_postgres.upgrade(parse(url), folder=folder)
    with pytest.raises(UnknownRevision, match=f"schema {NEXT}, which only a later titan knows"):
        on_postgres.downgrade(parse(url), "-1")


def test_of_many_pods_that_upgrade_at_once_one_does_the_work(postgres):
    url = parse(postgres.create_database("many_pods"))
    failures: list[BaseException] = []

    def pod() -> None:
        try:
            on_postgres.upgrade(url)
        except BaseException as error:  # noqa: BLE001  (the test asserts that there is none)
            failures.append(error)

    threads = [threading.Thread(target=pod) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert on_postgres.current(url) is not None
    postgres.drop_database("many_pods")


def test_it_works_through_a_pooler(postgres):
    postgres.create_database("pooled")
    with running_pgbouncer(postgres) as pooler:
        url = parse(pooler.url("pooled"))
        on_postgres.upgrade(url)
        on_postgres.downgrade(url, "-1")
        on_postgres.upgrade(url)
        found = on_postgres.current(url)
        assert found is not None
        assert found.revision == NEWEST_SCHEMA
    postgres.drop_database("pooled")


async def test_beside_the_traffic_no_request_waits_for_longer_than_a_step_waits_for_its_lock(
    postgres, database, url, folder
):
    """A long reader holds the table: the step waits behind it and every request behind the step, until that lets go."""
    done = trio.Event()

    async def migrate() -> None:
        await in_thread(lambda: on_postgres.upgrade(parse(url), folder=folder))
        done.set()

    async with opened(url, limits=PATIENT) as it:
        load = Load(it.store)
        async with load.running(), trio.open_nursery() as nursery:
            with postgres.session("BEGIN; SELECT count(*) FROM titan_document", database):
                nursery.start_soon(migrate)
                await trio.sleep(2 * on_postgres.LOCK_S)
                assert not done.is_set()
            await done.wait()
        assert set(load.outcomes) == {"written", "read"}
        assert on_postgres.LOCK_S * 0.7 < load.slowest_s < 1.5
        await load.assert_nothing_lost()
    found = await in_thread(on_postgres.current, parse(url))
    assert found is not None
    assert found.revision == NEXT


async def test_where_the_lock_cannot_be_had_at_all_it_gives_up_and_changes_nothing(
    postgres, database, url, folder, monkeypatch
):
    monkeypatch.setattr(on_postgres, "LOCK_S", 0.05)
    monkeypatch.setattr(on_postgres, "PAUSE_S", 0.05)
    monkeypatch.setattr(on_postgres, "PATIENCE_S", 0.3)
    with (
        postgres.session("BEGIN; SELECT count(*) FROM titan_document", database),
        pytest.raises(NotMigrated, match="a table was in use"),
    ):
        await in_thread(lambda: on_postgres.upgrade(parse(url), folder=folder))
    found = await in_thread(on_postgres.current, parse(url))
    assert found is not None
    assert found.revision == NEWEST_SCHEMA
