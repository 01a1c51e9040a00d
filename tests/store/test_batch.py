"""One transaction for many requests: what one of them does wrong is its own affair, and what each error means."""

import sqlite3
from contextlib import closing

import pytest
import trio

from tests.support.sqlite_files import fresh_database
from tests.support.store_documents import document
from titan.store.contract import Created, Document, Kind, WriteMode
from titan.store.sqlite import wire
from titan.store.sqlite.batch import Batches, Fatal, judge
from titan.store.sqlite.store import open_sqlite_store
from titan.store.sqlite.turn import file_of


@pytest.fixture
def path(tmp_path):
    return fresh_database(tmp_path / "titan.db")


@pytest.fixture
def batches(path):
    made = Batches(str(path), file_of(str(path)))
    yield made
    made.close()


def create(number: int, document_id: str, header: object = b"{}"):
    """A request as it comes over the wire."""
    return (number, wire.WRITE, None, (1, document_id, header, None, (), ()), wire.CREATE, None, None)


def test_a_request_that_the_database_refuses_fails_alone(batches):
    requests = [create(1, "a"), create(2, "bad", "text where bytes must be"), create(3, "c"), (4, 99), (5, wire.TRIM)]
    replies, fatal = batches.run(requests, 1000)
    assert fatal is None
    assert [(number, code) for number, code, *_ in replies] == [
        (1, wire.CREATED),
        (2, wire.FAILED),
        (3, wire.CREATED),
        (4, wire.FAILED),
        (5, wire.FAILED),
    ]
    assert "cannot store TEXT value in BLOB column" in replies[1][2]


def test_a_request_that_fails_half_way_leaves_nothing(batches, path):
    """The header is written before the second element is found to be wrong."""
    elements = ((None, None, b"1"), (None, None, "no bytes"))
    bad = (1, wire.WRITE, None, (2, "half", b"{}", elements, ((1, b"0" * 16),), ()), wire.CREATE, None, None)
    replies, _ = batches.run([bad, create(2, "b")], 1000)
    assert [code for _, code, *_ in replies] == [wire.FAILED, wire.CREATED]
    with closing(sqlite3.connect(path)) as db:
        for table, count in (("document", 1), ("element", 0), ("term", 0), ("outbox", 1)):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,)


async def test_a_value_that_cannot_be_stored_is_the_callers_error_and_no_one_elses(path):
    async with open_sqlite_store(path) as store:
        outcomes = []

        async def good(number: int) -> None:
            outcomes.append(await store.write(document(str(number)), WriteMode.CREATE))

        async def bad() -> None:
            wrong = Document(Kind.SHELL, "bad", "text")  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="cannot store TEXT"):
                await store.write(wrong, WriteMode.CREATE)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(good, number)
                nursery.start_soon(bad)
        assert len(outcomes) == 20
        assert all(isinstance(outcome, Created) for outcome in outcomes)


def error(name: str) -> sqlite3.Error:
    made = sqlite3.OperationalError("it says so")
    made.sqlite_errorcode = getattr(sqlite3, name)
    made.sqlite_errorname = name
    return made


@pytest.mark.parametrize(
    ("name", "code", "ends_the_process"),
    [
        ("SQLITE_FULL", wire.FULL, False),
        ("SQLITE_IOERR_SHMSIZE", wire.FULL, False),
        ("SQLITE_IOERR_FSYNC", wire.UNKNOWN, True),
        ("SQLITE_IOERR_DIR_FSYNC", wire.UNKNOWN, True),
        ("SQLITE_IOERR_WRITE", wire.UNAVAILABLE, True),
        ("SQLITE_IOERR_READ", wire.UNAVAILABLE, True),
        ("SQLITE_READONLY", wire.UNAVAILABLE, True),
        ("SQLITE_CANTOPEN", wire.UNAVAILABLE, True),
        ("SQLITE_NOMEM", wire.UNAVAILABLE, True),
        ("SQLITE_BUSY", wire.UNAVAILABLE, False),
        ("SQLITE_BUSY_RECOVERY", wire.UNAVAILABLE, False),
        ("SQLITE_CORRUPT", wire.DAMAGED, False),
        ("SQLITE_CORRUPT_INDEX", wire.DAMAGED, False),
        ("SQLITE_NOTADB", wire.DAMAGED, False),
    ],
)
def test_what_an_error_of_the_database_means(name, code, ends_the_process):
    judged, reason, fatal = judge(error(name))
    assert judged == code
    assert reason
    assert (fatal is not None) == ends_the_process
    assert fatal is None or fatal.may_pass


def test_a_database_that_is_not_the_one_that_is_read_takes_no_write(batches, path, tmp_path):
    path.rename(tmp_path / "moved.db")
    fresh_database(path)
    replies, fatal = batches.run([create(1, "a")], 1000)
    assert [code for _, code, *_ in replies] == [wire.UNAVAILABLE]
    assert fatal is not None
    assert not fatal.may_pass
    with pytest.raises(Fatal):
        Batches(str(path), "1:2")


def test_a_missing_database_is_not_made(tmp_path):
    with pytest.raises(Fatal, match="moved"):
        Batches(str(tmp_path / "none.db"), "1:2")
    assert not (tmp_path / "none.db").exists()
