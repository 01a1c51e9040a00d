"""Reads: each is one statement, and thereby one snapshot; the database joins a document's elements."""

from collections.abc import Sequence

from titan.store.codes import KIND, spliced
from titan.store.contract import Found, Kind, Page, Stored, StoreDamaged
from titan.store.postgres.codes import digest, pack_terms, terms_of
from titan.store.postgres.lineage import LINEAGE
from titan.store.postgres.session import Row, Session

PAGE_MAX_BYTES = 16 << 20
"""A page ends early at this size, so that no list can fill the memory."""

COUNTED_POSTINGS = 1000
"""How far the documents of a term are counted to find the rarest of several terms."""


def _body(of: str, *, with_blobs: bool) -> str:
    content = "e.content" if with_blobs else "coalesce(e.content_without_blobs, e.content)"
    return (
        f"CASE WHEN {of}.has_elements THEN"
        f" (SELECT string_agg({content}, ',' ORDER BY e.position) FROM titan_element e WHERE e.n = {of}.n)"
        " END AS elements"
    )


_HORIZON = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS horizon"

# A standby's snapshot does not list the transactions that were under way, but it says honestly which was the first.
_EVIDENCE = f"""{_HORIZON}, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS first_open,
  pg_is_in_recovery() AS is_standby, (pg_last_wal_replay_lsn() - '0/0')::bigint AS replayed, {LINEAGE} AS lineage"""

_NOW = {False: f"(SELECT {_HORIZON}) AS now", True: f"(SELECT {_EVIDENCE}) AS now"}

# `xid` is the 32 bits that a row knows of the transaction that wrote it. A row is always written by its document's
# change; a vacuum that moves it keeps the number, a restore brings a newer one.
_GET = {
    (with_blobs, evidence): "SELECT now.*, d.xmin::text::bigint AS xid, d.id, d.revision, d.modified_ms,"
    f" d.has_elements, d.header, {_body('d', with_blobs=with_blobs)}"
    f" FROM {_NOW[evidence]} LEFT JOIN titan_document d ON d.kind = $1 AND d.digest = $2"
    for with_blobs in (False, True)
    for evidence in (False, True)
}

# The size of what comes before a document decides whether it is still on the page, so that the first always is.
_SIZED = """
SELECT now.*, d.found, d.n, d.id, d.revision, d.modified_ms, d.has_elements, d.header, {body}
FROM {now} LEFT JOIN (
  SELECT d.*, count(*) OVER () AS found,
    sum(d.{size}) OVER (ORDER BY d.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM ({found}) AS d
) AS d ON coalesce(d.before, 0) < {max_bytes}
ORDER BY d.n
"""
_ALL = "SELECT d.* FROM titan_document d WHERE d.kind = $1 AND d.n > $2 ORDER BY d.n LIMIT $3"
_BY_TERMS = """
SELECT d.* FROM titan_term t JOIN titan_document d ON d.n = t.n
WHERE t.kind = $1 AND t.n > $2 AND t.field = $4 AND t.digest = $5{others} ORDER BY t.n LIMIT $3
"""
_OTHER = """
  AND EXISTS (
    SELECT FROM titan_term o WHERE o.kind = t.kind AND o.field = ${field} AND o.digest = ${digest} AND o.n = t.n
  )
"""
_COUNTS = f"""
SELECT t.field, t.digest FROM {terms_of("$2")}
ORDER BY (SELECT count(*) FROM (
  SELECT FROM titan_term o WHERE o.kind = $1 AND o.field = t.field AND o.digest = t.digest AND o.n > $3
  LIMIT {COUNTED_POSTINGS}
) AS counted)
"""


async def find(session: Session, kind: Kind, document_id: str, with_blobs: bool) -> Found:  # noqa: FBT001
    """Return one document, or that there is none; see `titan.store.contract.Store.find`."""
    return found_in(await find_row(session, kind, document_id, with_blobs=with_blobs), document_id)


async def find_row(session: Session, kind: Kind, document_id: str, *, with_blobs: bool, evidence: bool = False) -> Row:
    """Return what `found_in` reads; with `evidence` also what shows whether a standby's answer is good enough."""
    row = await session.read_row(_GET[with_blobs, evidence], KIND[kind], digest(document_id))
    assert row is not None
    return row


def found_in(row: Row, document_id: str) -> Found:
    """Read the one row of `find_row`."""
    newest = row["horizon"] - 1
    if row["id"] is None:
        return Found(None, newest)
    if row["id"] != document_id:
        raise StoreDamaged(f"the digest of the id {document_id!r} leads to the document {row['id']!r}")
    mark = full_xid(row["xid"], newest)
    return Found(_stored(row, mark), mark)


async def page(
    session: Session,
    kind: Kind,
    terms: Sequence[tuple[int, bytes]],
    after: int,
    limit: int,
    with_blobs: bool,  # noqa: FBT001
) -> Page:
    """Return one keyset page; with terms it goes along the rarest one's entries."""
    return page_in(await page_rows(session, kind, terms, after, limit, with_blobs=with_blobs), limit)


async def page_rows(
    session: Session,
    kind: Kind,
    terms: Sequence[tuple[int, bytes]],
    after: int,
    limit: int,
    *,
    with_blobs: bool,
    evidence: bool = False,
) -> Sequence[Row]:
    """Return what `page_in` reads, at least one row; `evidence` as for `find_row`."""
    if len(terms) > 1:
        rows = await session.read_rows(_COUNTS, KIND[kind], pack_terms(terms), after)
        terms = [(row["field"], row["digest"]) for row in rows]
    values = [part for term in terms for part in term]
    sql = _page(len(terms), with_blobs=with_blobs, evidence=evidence)
    return await session.read_rows(sql, KIND[kind], after, limit + 1, *values)


def page_in(rows: Sequence[Row], limit: int) -> Page:
    """Read the rows of `page_rows`."""
    newest = rows[0]["horizon"] - 1
    items = tuple(_stored(row, newest) for row in rows[:limit] if row["n"] is not None)
    more = bool(items) and rows[0]["found"] > len(items)
    return Page(items, rows[len(items) - 1]["n"] if more else None, newest)


def _page(terms: int, *, with_blobs: bool, evidence: bool) -> str:
    others = "".join(_OTHER.format(field=number, digest=number + 1) for number in range(6, 4 + 2 * terms, 2))
    return _SIZED.format(
        body=_body("d", with_blobs=with_blobs),
        size="full_bytes" if with_blobs else "plain_bytes",
        found=_BY_TERMS.format(others=others) if terms else _ALL,
        max_bytes=PAGE_MAX_BYTES,
        now=_NOW[evidence],
    )


def full_xid(xid: int, newest: int) -> int:
    """Return the 64-bit number of a transaction of which 32 bits are known, or a greater one; none is above `newest`.

    Of a row that was frozen before the counter came round the number is too great, never too small.
    """
    full = (newest & ~0xFFFFFFFF) | xid
    return full if full <= newest else max(full - (1 << 32), 0)


def _stored(row: Row, mark: int) -> Stored:
    header: bytes = row["header"]
    if row["has_elements"]:
        header = spliced(header, row["elements"] or b"")
    return Stored(row["id"], row["revision"], row["modified_ms"], header, mark)
