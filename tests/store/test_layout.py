"""The layout keeps its promises of cost: what is read and written does not depend on how much else there is."""

import sqlite3
from contextlib import closing

import pytest
import trio

from tests.support.sqlite_files import fresh_database
from titan.store.contract import Document, Element, Field, Kind, Term, WriteMode
from titan.store.sqlite import queries
from titan.store.sqlite.store import open_sqlite_store
from titan.store.sqlite.transactions import POSITION_STEP

CHANGE_ONE = (
    "UPDATE element SET content = :content WHERE n = (SELECT n FROM document WHERE kind = 2 AND id = 's')"
    " AND id_short = :id_short"
)
REMOVE_ONE = (
    "DELETE FROM element WHERE n = (SELECT n FROM document WHERE kind = 2 AND id = 's') AND id_short = :id_short"
)
INSERT_ONE = (
    "INSERT INTO element (n, position, id_short, content)"
    " SELECT n, :position, 'new', :content FROM document WHERE kind = 2 AND id = 's'"
)
NEW_REVISION = "UPDATE document SET revision = revision + 1 WHERE kind = 2 AND id = 's'"


async def fill(path, elements: int) -> None:
    parts = tuple(Element(f"e{n}", b'{"idShort":"e%d","value":"%064d"}' % (n, n)) for n in range(elements))
    async with open_sqlite_store(path) as store:
        await store.write(Document(Kind.SUBMODEL, "s", b'{"id":"s"}', parts), WriteMode.CREATE)


def cost(path, statement: str, values: dict[str, object]) -> tuple[int, int]:
    """Return the bytes that a change adds to the write-ahead log and the steps that SQLite takes for it."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    log = path.with_name(f"{path.name}-wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.set_progress_handler(count, 1)
        db.execute("BEGIN IMMEDIATE")
        assert db.execute(statement, values).rowcount == 1
        db.execute(NEW_REVISION)
        db.execute("COMMIT")
        return log.stat().st_size, steps


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (CHANGE_ONE, {"content": b'{"idShort":"e5","value":"changed"}', "id_short": "e5"}),
        (REMOVE_ONE, {"id_short": "e5"}),
        (INSERT_ONE, {"content": b"{}", "position": 5 * POSITION_STEP + POSITION_STEP // 2}),
    ],
    ids=["change", "remove", "insert"],
)
def test_one_element_of_ten_or_of_ten_thousand_costs_the_same(tmp_path, statement, values):
    few, many = fresh_database(tmp_path / "few.db"), fresh_database(tmp_path / "many.db")
    trio.run(fill, few, 10)
    trio.run(fill, many, 10_000)
    few_bytes, few_steps = cost(few, statement, values)
    many_bytes, many_steps = cost(many, statement, values)
    page = 4096 + 24
    assert many_bytes <= few_bytes + 2 * page  # an index may split a page
    assert many_steps <= few_steps * 1.1 + 5


@pytest.fixture
def db(tmp_path):
    with closing(sqlite3.connect(fresh_database(tmp_path / "titan.db"), isolation_level=None)) as opened:
        yield opened


class Noted:
    """Takes the place of a connection and notes the plan of each statement that is run."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.plans: list[str] = []

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        if sql.lstrip().startswith(("SELECT", "UPDATE", "DELETE")):
            self.plans += [row[3] for row in self._db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
        return self._db.execute(sql, values)


@pytest.mark.parametrize("terms", [0, 1, 2, 3])
@pytest.mark.parametrize("after", [0, 1_000_000])
def test_a_page_is_a_walk_along_an_index_from_where_the_last_one_ended(db, terms, after):
    noted = Noted(db)
    wanted = [(1, bytes([number]) * 16) for number in range(terms)]
    queries.page(noted, Kind.SHELL, wanted, after=after, limit=10, with_blobs=False)  # type: ignore[arg-type]
    assert noted.plans
    for step in noted.plans:
        assert not step.startswith("SCAN") or step.startswith("SCAN (subquery"), noted.plans
        assert "TEMP B-TREE" not in step, noted.plans


def test_a_document_is_read_by_indexes(db):
    noted = Noted(db)
    db.execute("INSERT INTO document VALUES (1, 2, 1, 0, 1, 0, 0, 'x', x'7b7d')")
    queries.get(noted, Kind.SUBMODEL, "x", with_blobs=False)  # type: ignore[arg-type]
    queries.changes(noted, after=None, limit=10)  # type: ignore[arg-type]
    for step in noted.plans:  # sqlite_sequence has one row for each of two tables
        assert not step.startswith("SCAN") or step == "SCAN sqlite_sequence", noted.plans


async def test_the_thousandth_page_takes_as_many_steps_as_the_first(tmp_path):
    path = fresh_database(tmp_path / "titan.db")
    async with open_sqlite_store(path) as store, trio.open_nursery() as nursery:
        for number in range(3000):
            made = Document(Kind.SHELL, str(number), b"{}", terms=frozenset({Term(Field.ID_SHORT, "all")}))
            nursery.start_soon(store.write, made, WriteMode.CREATE)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        digest = db.execute("SELECT field, digest FROM term LIMIT 1").fetchone()
        for terms in ([], [digest]):
            steps: list[int] = []

            def count(steps=steps) -> int:
                steps[-1] += 1
                return 0

            db.set_progress_handler(count, 1)
            after: int | None = 0
            while after is not None:
                steps.append(0)
                after = queries.page(db, Kind.SHELL, terms, after=after, limit=3, with_blobs=False).next_after
            db.set_progress_handler(None, 0)
            assert len(steps) == 1000
            assert steps[998] <= steps[0] * 1.05
