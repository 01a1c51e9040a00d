"""Writes that meet each other: deadlocks, claims, unknown outcomes, the order of a document's changes."""

import asyncio
import contextlib
import random

import asyncpg
import pytest
import trio

from tests.support.fenced import trimmed
from tests.support.postgres_store import PATIENT, Opened, opened
from tests.support.store_documents import document, submodel
from tests.support.waiting import until
from titan.store.contract import (
    Changes,
    ChangeType,
    Created,
    Field,
    Idempotency,
    IdempotencyRunning,
    Kind,
    OutcomeUnknown,
    Replaced,
    StoreDamaged,
    StoreUnavailable,
    Term,
    WriteMode,
)
from titan.store.postgres import codes, reads, write_sql, writes
from titan.store.postgres.session import Session

in_thread = trio.to_thread.run_sync
KEY = Idempotency(b"scope", b"request")
ID = "urn:test:one"


async def waiting_for_locks(postgres, database: str) -> int:
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"
    return int(await in_thread(postgres.psql, sql))


async def until_waiting(postgres, database: str, callers: int) -> None:
    with trio.fail_after(5):
        while await waiting_for_locks(postgres, database) != callers:  # noqa: ASYNC110  (they wait in another process)
            await trio.sleep(0.005)


async def test_a_deadlock_is_rolled_back_and_tried_again(postgres, database, url):
    """Another client holds the document's row and then wants its lock, which the writer holds that wants the row."""
    await in_thread(postgres.psql, f"ALTER DATABASE {database} SET deadlock_timeout = '300ms'")
    key = codes.lock_key(Kind.SHELL, codes.digest(ID))
    async with opened(url, limits=PATIENT) as it:
        await it.store.write(document(), WriteMode.CREATE)
        other = await it.island.run(asyncpg.connect, url)
        await it.island.run(other.execute, "BEGIN; SELECT FROM titan_document FOR UPDATE")
        outcomes = []

        async def write() -> None:
            outcomes.append(await it.store.write(document(text="new"), WriteMode.PUT))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await until_waiting(postgres, database, 1)
            await it.island.run(other.execute, f"SELECT pg_advisory_xact_lock({key})")
            await it.island.run(other.execute, "ROLLBACK")
        assert isinstance(outcomes[0], Replaced)
        await it.island.run(other.close)
    assert "deadlock detected" in postgres.log()


FAIL_AT_FIRST = """
CREATE SEQUENCE attempts;
CREATE FUNCTION fail_at_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('attempts') <= {failures} THEN
    RAISE 'could not serialize access' USING ERRCODE = 'serialization_failure';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fail_at_first BEFORE INSERT ON titan_outbox FOR EACH ROW EXECUTE FUNCTION fail_at_first();
GRANT ALL ON SEQUENCE attempts TO titan
"""


async def test_a_serialization_failure_is_tried_again_three_times(postgres, database, it):
    await in_thread(postgres.psql, FAIL_AT_FIRST.format(failures=3), database)
    assert isinstance(await it.store.write(document(), WriteMode.CREATE), Created)
    assert len((await it.store.changes()).items) == 1


async def test_one_that_goes_on_is_told(postgres, database, it):
    await in_thread(postgres.psql, FAIL_AT_FIRST.format(failures=4), database)
    with pytest.raises(StoreUnavailable, match="could not serialize"):
        await it.store.write(document(), WriteMode.CREATE)
    assert await it.store.get(Kind.SHELL, ID) is None


async def test_a_retry_while_the_first_request_is_under_way_is_told_at_once(postgres, database, url):
    async with opened(url, limits=PATIENT) as one, opened(url, limits=PATIENT) as two:
        await one.store.write(document(), WriteMode.CREATE)
        outcomes = []

        async def first() -> None:
            outcomes.append(await one.store.write(document(text="x"), WriteMode.PUT, idempotency=KEY))

        async with trio.open_nursery() as nursery:
            with postgres.session("BEGIN; SELECT FROM titan_document FOR UPDATE", database):
                nursery.start_soon(first)
                await until_waiting(postgres, database, 1)
                with trio.fail_after(1):
                    again = await two.store.write(document(text="x"), WriteMode.PUT, idempotency=KEY)
                assert again == IdempotencyRunning()
        assert isinstance(outcomes[0], Replaced)


@pytest.mark.parametrize("is_committed", [True, False])
async def test_an_unknown_outcome_is_resolved_by_the_idempotency_record(it, monkeypatch, is_committed):
    lose_the_answer(monkeypatch, is_committed=is_committed)
    outcome = await it.store.write(document(), WriteMode.CREATE, idempotency=KEY)
    assert isinstance(outcome, Created)
    (change,) = (await it.store.changes()).items
    assert change.revision == outcome.revision


@pytest.mark.parametrize("is_committed", [True, False])
async def test_without_a_record_an_unknown_outcome_is_told_as_such(it, monkeypatch, is_committed):
    lose_the_answer(monkeypatch, is_committed=is_committed)
    with pytest.raises(OutcomeUnknown):
        await it.store.write(document(), WriteMode.CREATE)
    assert (await it.store.get(Kind.SHELL, ID) is not None) is is_committed


async def test_where_the_second_try_fails_too_the_first_is_told(it, monkeypatch):
    async def lost(session: Session) -> None:
        session.drop()
        raise OutcomeUnknown("lost")

    monkeypatch.setattr(Session, "commit", lost)
    with pytest.raises(OutcomeUnknown):
        await it.store.write(document(), WriteMode.CREATE, idempotency=KEY)


async def test_time_that_is_over_before_the_commit_is_no_unknown_outcome(it):
    async def write_late(session: Session) -> None:
        await session.begin()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)  # cancelled at the deadline
        await session.commit()

    with pytest.raises(StoreUnavailable, match="over before its COMMIT") as caught, trio.fail_after(0.05):
        await it.island.run(it.database.use, write_late)
    assert not isinstance(caught.value, OutcomeUnknown)


def lose_the_answer(monkeypatch, *, is_committed: bool) -> None:
    """Have the first COMMIT carried out or not, its answer lost, and its connection with it."""
    commit, first = Session.commit, [True]

    async def lost(session: Session) -> None:
        if not first:
            await commit(session)
            return
        first.clear()
        await (commit(session) if is_committed else session.rollback())
        session.drop()
        raise OutcomeUnknown("lost")

    monkeypatch.setattr(Session, "commit", lost)


async def disturb(one: Opened, two: Opened) -> None:
    """Create, replace and delete one document from many tasks of two instances."""
    rng = random.Random(5)

    async def act(it: Opened) -> None:
        for _ in range(40):
            with contextlib.suppress(asyncpg.UniqueViolationError):  # of the control
                if rng.random() < 0.5:
                    await it.store.delete(Kind.SHELL, ID)
                else:
                    mode = rng.choice([WriteMode.PUT, WriteMode.CREATE])
                    await it.store.write(document(text=str(rng.random())), mode)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(act, (one, two)[number % 2])


async def out_of_order(it: Opened) -> list[str]:
    """Return the changes that cannot have been made in the order of their revisions."""
    told = await it.store.changes(limit=10_000)
    assert isinstance(told, Changes)
    wrong = []
    is_there = False
    for change in told.items:
        if (change.type is ChangeType.CREATED) is is_there:
            wrong.append(f"{change.revision} {change.type}")
        is_there = change.type is not ChangeType.DELETED
    return wrong


async def test_the_changes_of_a_document_have_the_order_in_which_they_were_made(url):
    async with opened(url, limits=PATIENT) as one, opened(url, limits=PATIENT) as two:
        await disturb(one, two)
        assert await out_of_order(one) == []


async def test_control_without_the_documents_lock_they_have_not(url, monkeypatch):
    monkeypatch.setattr(write_sql, "LOCK", "SELECT 1")
    async with opened(url, limits=PATIENT) as one, opened(url, limits=PATIENT) as two:
        with trio.move_on_after(20):
            while await out_of_order(one) == []:
                await disturb(one, two)
        assert await out_of_order(one) != []


async def test_two_ids_of_one_digest_are_never_taken_for_each_other(it, monkeypatch):
    for module in (writes, reads):
        monkeypatch.setattr(module, "digest", lambda _: b"x" * 32)
    await it.store.write(document("a"), WriteMode.CREATE)
    with pytest.raises(StoreDamaged, match="the digest of the id 'b' leads to the document 'a'"):
        await it.store.get(Kind.SHELL, "b")
    with pytest.raises(StoreDamaged):
        await it.store.write(document("b"), WriteMode.PUT)
    assert (await it.store.get(Kind.SHELL, "a")).id == "a"


async def test_no_operation_has_the_driver_ask_for_types(url, monkeypatch):
    """It would do so once per connection and type, for 15 ms, with the document's lock held."""

    async def asks(*_args, **_options):
        raise AssertionError("a type that the driver does not know")

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", asks)
    terms = ((Field.ID_SHORT, "a"), (Field.ASSET_ID, "b"))
    async with opened(url) as it:
        store = it.store
        await store.write(document(terms=terms), WriteMode.CREATE, idempotency=KEY)
        await store.write(document(terms=terms), WriteMode.CREATE, idempotency=KEY)
        await store.write(submodel("s", ("a", "1"), blob="QQ=="), WriteMode.PUT)
        await store.write(submodel("s", ("a", "2")), WriteMode.PUT)
        assert len((await store.page(Kind.SHELL, terms=[Term(*term) for term in terms])).items) == 1
        await store.get(Kind.SUBMODEL, "s", with_blobs=True)
        told = await store.changes(limit=1)
        assert isinstance(told, Changes)
        await store.changes(after=told.cursor)
        await store.cursor()
        await trimmed(store, before_ms=0)
        await store.delete(Kind.SUBMODEL, "s")


async def test_replacing_writes_only_the_elements_that_differ(postgres, database, it):
    """A row that was not written is the same version of itself (xmin)."""
    versions = "SELECT id_short, xmin FROM titan_element ORDER BY position"
    await it.store.write(submodel("s", *[(f"e{n}", "1") for n in range(5)]), WriteMode.CREATE)
    before = (await in_thread(postgres.psql, versions, database)).splitlines()
    await it.store.write(submodel("s", *[(f"e{n}", "2" if n == 3 else "1") for n in range(5)]), WriteMode.PUT)
    after = (await in_thread(postgres.psql, versions, database)).splitlines()
    assert [line for line in before if line not in after] == [before[3]]
    await until(lambda: it.database.statistics.in_use == 0)
