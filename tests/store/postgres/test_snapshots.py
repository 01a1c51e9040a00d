"""Snapshots and cursors: everything is told once, in whatever order transactions end, in however short a cursor."""

import random
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.store.postgres.snapshots import FIRST, NUMBER_MAX, SNAPSHOT_MAX_BYTES, Cursor, Snapshot

IDENTITY = b"12345678"


@st.composite
def snapshots(draw) -> Snapshot:
    xmin = draw(st.integers(3, NUMBER_MAX - 10_000))
    xip = sorted(draw(st.sets(st.integers(xmin, xmin + 5000), max_size=80)))
    xmin = xip[0] if xip else xmin
    xmax = (xip[-1] if xip else xmin) + draw(st.integers(1, 100)) if xip else xmin
    return Snapshot(xmin, xmax, tuple(xip))


@given(snapshots())
def test_a_snapshot_is_read_as_the_server_writes_it(snapshot):
    assert Snapshot.parse(str(snapshot)) == snapshot


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10:20:10,14,15", Snapshot(10, 20, (10, 14, 15))), ("7:7:", Snapshot(7, 7)), ("3:3:", FIRST)],
)
def test_the_servers_own_examples(text, expected):
    assert Snapshot.parse(text) == expected


@given(snapshots(), st.none() | snapshots(), st.integers(0, NUMBER_MAX))
def test_a_cursor_is_read_as_it_was_written_and_short(seen, telling, revision):
    cursor = Cursor(IDENTITY, seen.coarsened(), telling and telling.coarsened(), revision if telling else 0)
    assert Cursor.parse(str(cursor)) == cursor
    assert len(str(cursor)) <= 200
    assert str(cursor).isascii()


@given(snapshots(), st.integers(24, 80))
def test_a_coarsened_snapshot_sees_nothing_that_the_finer_one_does_not(snapshot, max_bytes):
    coarse = snapshot.coarsened(max_bytes)
    assert len(coarse.pack()) <= max_bytes
    for xid in range(snapshot.xmin - 2, snapshot.xmax + 2):
        assert snapshot.sees(xid) or not coarse.sees(xid)
    assert coarse == snapshot or len(snapshot.pack()) > max_bytes


@given(
    st.text(max_size=250) | st.binary(max_size=150).map(lambda packed: urlsafe_b64encode(packed).decode().rstrip("="))
)
def test_whatever_a_client_sends_is_a_cursor_that_reads_back_or_none(text):
    cursor = Cursor.parse(text)
    assert cursor is None or str(cursor) == text


@given(st.data())
def test_every_change_is_told_once_and_each_documents_in_order(data):
    """A small server: transactions take a document's lock, then a number, then a revision; they end in any order."""
    rng = random.Random(data.draw(st.integers()))
    max_bytes = data.draw(st.sampled_from([14, 16, 24, SNAPSHOT_MAX_BYTES]))
    limit = data.draw(st.sampled_from([1, 2, 5, 1000]))
    server = Server(rng)
    cursor = Cursor(IDENTITY, FIRST)
    told: list[tuple[int, int]] = []
    for _ in range(data.draw(st.integers(1, 60))):
        server.step()
        if rng.random() < 0.4:
            some, cursor = server.poll(cursor, limit, max_bytes)
            told += some
    server.end_all()
    for _ in range(3 * len(server.rows) + 3):
        some, cursor = server.poll(cursor, limit, max_bytes)
        told += some
    assert sorted(told) == sorted((document, revision) for _, document, revision in server.rows)
    for document in server.documents:
        assert [r for d, r in told if d == document] == sorted(r for _, d, r in server.rows if d == document)


class Server:
    """Numbers, locks and visibility as PostgreSQL has them; `poll` is what `changes` asks of it."""

    documents = range(3)

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.next_xid = 3
        self.next_revision = 1
        self.open: dict[int, tuple[int, int] | None] = {}  # xid: document and revision, None of a foreign one
        self.rows: list[tuple[int, int, int]] = []

    def step(self) -> None:
        if self.open and self.rng.random() < 0.45:
            self.end(self.rng.choice(list(self.open)))
            return
        locked = {change[0] for change in self.open.values() if change}
        free = [document for document in self.documents if document not in locked]
        change = None
        if free and self.rng.random() < 0.7:
            change = (self.rng.choice(free), self.next_revision)
            self.next_revision += 1
        self.open[self.next_xid] = change
        self.next_xid += self.rng.choice([1, 1, 1, 200])

    def end(self, xid: int) -> None:
        change = self.open.pop(xid)
        if change and self.rng.random() < 0.8:  # the others are rolled back
            self.rows.append((xid, *change))

    def end_all(self) -> None:
        for xid in list(self.open):
            self.end(xid)

    def snapshot(self) -> Snapshot:
        xip = tuple(sorted(self.open))
        return Snapshot(xip[0] if xip else self.next_xid, self.next_xid, xip)

    def poll(self, cursor: Cursor, limit: int, max_bytes: int) -> tuple[list[tuple[int, int]], Cursor]:
        found = [
            row
            for row in sorted(self.rows, key=lambda row: row[2])
            if not cursor.seen.sees(row[0])
            and (cursor.telling is None or cursor.telling.sees(row[0]))
            and row[2] > cursor.revision
        ][: limit + 1]
        revisions = [revision for _, _, revision in found]
        window, behind = cursor.advance(IDENTITY, self.snapshot(), revisions, limit, max_bytes=max_bytes)
        parsed = Cursor.parse(str(behind))
        assert parsed == behind
        return [(document, revision) for xid, document, revision in found[:limit] if window.sees(xid)], behind
