"""Reads: plain functions over one read-only connection, each in one read transaction of its own."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from titan.store.codes import KIND, KIND_OF, spliced
from titan.store.contract import (
    MAX_POSITION,
    Change,
    Changes,
    ChangesGone,
    Kind,
    Latest,
    Page,
    Stored,
    TermBegun,
    is_id,
)
from titan.store.sqlite.codes import CHANGE_OF

PAGE_MAX_BYTES = 16 << 20
"""A page ends early at this size, so that no list can fill the memory."""

COUNTED_POSTINGS = 1000
"""How far the documents of a term are counted to find the rarest of several terms."""

_ELEMENTS = {
    False: "SELECT coalesce(content_without_blobs, content) FROM element WHERE n = ? ORDER BY position",
    True: "SELECT content FROM element WHERE n = ? ORDER BY position",
}
_COLUMNS = {
    False: "d.n, d.id, d.revision, d.modified_ms, d.has_elements, d.plain_bytes, d.header",
    True: "d.n, d.id, d.revision, d.modified_ms, d.has_elements, d.full_bytes, d.header",
}

Row = tuple[int, str, int, int, int, int, bytes]


class TooBig(Exception):
    """There is more to read than the caller wants to read here."""


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """Make all reads within see one state of the database."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("COMMIT")


def get(
    db: sqlite3.Connection, kind: Kind, document_id: str, *, with_blobs: bool, max_bytes: int | None = None
) -> Stored | None:
    """Return one document. Raises `TooBig` where it may be larger than `max_bytes`."""
    if not is_id(document_id):
        return None
    with snapshot(db):
        row = db.execute(
            f"SELECT {_COLUMNS[with_blobs]} FROM document d WHERE d.kind = ? AND d.id = ?",  # noqa: S608 (constant)
            (KIND[kind], document_id),
        ).fetchone()
        if row is None:
            return None
        if max_bytes is not None and row[5] > max_bytes:
            raise TooBig
        return _stored(db, row, with_blobs=with_blobs)


def page(
    db: sqlite3.Connection,
    kind: Kind,
    terms: Sequence[tuple[int, bytes]],
    *,
    after: int,
    limit: int,
    with_blobs: bool,
    max_bytes: int | None = None,
) -> Page:
    """Return one keyset page; with terms it goes along the rarest one's entries.

    Raises `TooBig` where the page may be larger than `max_bytes`.
    """
    items: list[Stored] = []
    size = 0
    last = after
    with snapshot(db):
        for row in _rows(db, _COLUMNS[with_blobs], KIND[kind], terms, min(after, MAX_POSITION), limit + 1):
            if len(items) == limit or size >= PAGE_MAX_BYTES:
                return Page(tuple(items), last)
            if max_bytes is not None and size + row[5] > max_bytes:
                raise TooBig
            stored = _stored(db, row, with_blobs=with_blobs)
            items.append(stored)
            size += len(stored.body)
            last = row[0]
    return Page(tuple(items), None)


def changes(db: sqlite3.Connection, *, after: str | None, limit: int) -> Changes | ChangesGone:
    """Return the outbox rows behind a cursor."""
    with snapshot(db):
        trimmed = int(_meta(db, "trimmed") or 0)
        identity, newest = cursor(db).split(".")
        behind = trimmed if after is None else _behind(after, identity)
        if behind is None or not trimmed <= behind <= int(newest):
            return ChangesGone()
        rows = db.execute(
            "SELECT revision, kind, id, type, modified_ms FROM outbox WHERE revision > ? ORDER BY revision LIMIT ?",
            (behind, limit),
        ).fetchall()
    items = tuple(_change(row, identity) for row in rows)
    told = items[-1].revision if items else behind
    return Changes(items, f"{identity}.{told}", shows=told, is_last=told == int(newest))


def latest(db: sqlite3.Connection, *, limit: int) -> Latest:
    """Return the newest outbox rows and the cursor behind them."""
    with snapshot(db):
        rows = db.execute(
            "SELECT revision, kind, id, type, modified_ms FROM outbox ORDER BY revision DESC LIMIT ?", (limit,)
        ).fetchall()
        behind = cursor(db)
    identity, newest = behind.split(".")
    items = tuple(_change(row, identity) for row in rows)
    return Latest(items, behind, int(newest), whole_from=0, history=identity, installation=identity)


def _change(row: tuple[int, int, str, int, int], identity: str) -> Change:
    """Its mark is its revision: there is one writer, so a greater one was made later."""
    revision, kind, document_id, change, modified_ms = row
    cursor = f"{identity}.{revision}"
    return Change(revision, KIND_OF[kind], document_id, CHANGE_OF[change], modified_ms, revision, cursor)


def cursor(db: sqlite3.Connection) -> str:
    """Return the cursor behind the newest change: the database's identity and the last revision drawn."""
    newest = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    return f"{_meta(db, 'identity')}.{newest[0] if newest else 0}"


def terms(db: sqlite3.Connection) -> list[TermBegun]:
    """Return the newest term of every role."""
    return [TermBegun(*row) for row in db.execute("SELECT role, epoch, holder, began_ms FROM epoch ORDER BY role")]


def _meta(db: sqlite3.Connection, name: str) -> str | None:
    row = db.execute("SELECT value FROM titan_meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def parse(cursor: str) -> tuple[str, int] | None:
    """Read a cursor: the identity of its database and the last revision told; None where it is none."""
    match = re.fullmatch(r"([0-9a-f]{32})\.(\d{1,18})", cursor, re.ASCII)
    return None if match is None else (match[1], int(match[2]))


def _behind(after: str, identity: str) -> int | None:
    """Read a cursor; None where it is not one of this database."""
    parsed = parse(after)
    return parsed[1] if parsed is not None and parsed[0] == identity else None


def _rows(
    db: sqlite3.Connection, columns: str, kind: int, terms: Sequence[tuple[int, bytes]], after: int, limit: int
) -> Iterator[Row]:
    if not terms:
        yield from db.execute(
            f"SELECT {columns} FROM document d WHERE d.kind = ? AND d.n > ? ORDER BY d.n LIMIT ?",  # noqa: S608
            (kind, after, limit),
        )
        return
    first, *others = _rarest_first(db, kind, terms, after)
    also = "".join(
        " AND EXISTS (SELECT 1 FROM term o WHERE o.kind = t.kind AND o.field = ? AND o.digest = ? AND o.n = t.n)"
        for _ in others
    )
    yield from db.execute(
        f"SELECT {columns} FROM term t CROSS JOIN document d ON d.n = t.n"  # noqa: S608 (constant)
        f" WHERE t.kind = ? AND t.field = ? AND t.digest = ? AND t.n > ?{also} ORDER BY t.n LIMIT ?",
        (kind, *first, after, *(part for other in others for part in other), limit),
    )


def _rarest_first(
    db: sqlite3.Connection, kind: int, terms: Sequence[tuple[int, bytes]], after: int
) -> list[tuple[int, bytes]]:
    if len(terms) == 1:
        return list(terms)

    def count(term: tuple[int, bytes]) -> int:
        found: int = db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM term WHERE kind = ? AND field = ? AND digest = ? AND n > ? LIMIT ?)",
            (kind, *term, after, COUNTED_POSTINGS),
        ).fetchone()[0]
        return found

    return sorted(terms, key=count)


def _stored(db: sqlite3.Connection, row: Row, *, with_blobs: bool) -> Stored:
    n, document_id, revision, modified_ms, has_elements, _, header = row
    if not has_elements:
        return Stored(document_id, revision, modified_ms, header)
    elements = b",".join([content for (content,) in db.execute(_ELEMENTS[with_blobs], (n,))])
    return Stored(document_id, revision, modified_ms, spliced(header, elements))
