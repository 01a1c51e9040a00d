"""A migration that has to wait for a lock: traffic goes on, and the migration is made as soon as it can be."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.postgres import Postgres
from tests.support.postgres_store import fresh_database
from tests.support.server import serving
from tests.support.traffic import traffic
from titan.store.migrations import on_postgres
from titan.store.postgres.url import parse
from titan.store.schema import NEWEST_SCHEMA

NEXT = f"{int(NEWEST_SCHEMA) + 1:04}"
EXPAND = f"""
revision = "{NEXT}"
down_revision = "{NEWEST_SCHEMA}"
oldest_program = "0.1.0"
UP = ("ALTER TABLE titan_element ADD COLUMN colour text", "ALTER TABLE titan_document ADD COLUMN colour text")
DOWN = ("ALTER TABLE titan_document DROP COLUMN colour", "ALTER TABLE titan_element DROP COLUMN colour")
"""
LONGEST_WAIT_S = 1.5


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    with fresh_database(postgres) as name:
        yield name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Today's migrations and one more, an expand revision."""
    copied = tmp_path / "postgres"
    shutil.copytree(on_postgres.POSTGRES, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / f"{NEXT}_expand.py").write_text(EXPAND)
    return copied


def test_no_request_waits_long_behind_a_migration_that_waits_for_a_lock(postgres, database, folder, tmp_path):
    """Somebody's forgotten transaction has read a table: the migration waits behind it, requests behind that."""
    url = postgres.url(database)
    with (
        serving(tmp_path / "a", settings={"DATABASE_URL": url}) as server,
        traffic(server.url, clients=16, methods=("POST", "GET", "PUT", "DELETE"), pause_s=0.02) as sent,
        ThreadPoolExecutor(1) as pool,
    ):
        sent.wait_for(50)
        with postgres.session("BEGIN; SELECT count(*) FROM titan_document", database):
            upgrading = pool.submit(on_postgres.upgrade, parse(url), folder=folder)
            wait_for_attempts_in_vain(postgres, 4)
            sent.wait_for(100)
            assert not upgrading.done()
        moved = upgrading.result(timeout=30)
        sent.wait_for(50)
    assert [schema and schema.revision for schema in moved] == [NEWEST_SCHEMA, NEXT]
    assert sent.lost() == []
    slowest_s = max(outcome.took_s for outcome in sent.outcomes)
    assert on_postgres.LOCK_S / 2 < slowest_s < LONGEST_WAIT_S


def wait_for_attempts_in_vain(postgres: Postgres, more: int) -> None:
    """Return once so many further statements were ended because a lock was not to be had."""

    def ended() -> int:
        return postgres.log().count("canceling statement due to lock timeout")

    wanted, deadline = ended() + more, time.monotonic() + 20
    while ended() < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.02)
