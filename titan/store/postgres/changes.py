"""The outbox: what changed since a cursor, in one statement and thereby one snapshot (architecture 4.5)."""

from hashlib import blake2b

from titan.store.codes import KIND_OF
from titan.store.contract import Change, Changes, ChangesGone, Latest
from titan.store.postgres.codes import CHANGE_OF
from titan.store.postgres.session import Row, Session
from titan.store.postgres.snapshots import FIRST, IDENTITY_BYTES, Cursor, Snapshot

ROWS_AT_ONCE = 5000
"""Rows that one transaction adopts or trims: a fraction of a statement's time."""

SCANNED = 10_000
"""So many transactions in a row that came to nothing, the newest ones, are looked through; far more than there are."""

# Whose numbers these are: a restore by copy goes on as another timeline, one by dump is another table.
WHOSE = """
  (SELECT system_identifier FROM pg_control_system()) AS system,
  left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline,
  'titan_outbox'::regclass::oid AS outbox,
  (SELECT value FROM titan_meta WHERE name = 'identity') AS identity,
  (SELECT value::bigint FROM titan_meta WHERE name = 'trimmed') AS trimmed
"""

# A crash takes back the numbers of transactions that came to nothing while that was not on disk yet: those above the
# highest committed one. Others get them then, so nobody may have seen them (`_lasting`).
_HERE = f"""
SELECT pg_current_snapshot()::text AS snapshot, {WHOSE},
  CASE WHEN pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn() THEN (
    SELECT coalesce(max(xid), 0) FROM (
      SELECT xid FROM (
        SELECT generate_series(s.xmax - 1, greatest(s.xmax - {SCANNED}, 3), -1) AS xid
        FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xmax) AS s
      ) AS newest
      WHERE pg_xact_status(xid::text::xid8) = 'committed' LIMIT 1
    ) AS highest
  ) END AS committed
"""

# $1 what was seen, $2 what is being told or NULL, $3 how far, $4 limit
_TELL = f"""
SELECT here.*, o.* FROM ({_HERE}) AS here LEFT JOIN LATERAL (
  SELECT xid::text::bigint AS xid, revision, kind, type, modified_ms, id FROM titan_outbox
  WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
    AND ($2::text IS NULL OR pg_visible_in_snapshot(xid, $2::text::pg_snapshot))
    AND revision > $3
  ORDER BY revision LIMIT $4
) AS o ON true ORDER BY o.revision
"""

# $1 how many of the newest
_LATEST = f"""
SELECT here.*, o.* FROM ({_HERE}) AS here LEFT JOIN LATERAL (
  SELECT xid::text::bigint AS xid, revision, kind, type, modified_ms, id FROM titan_outbox
  ORDER BY titan_outbox.xid DESC LIMIT $1
) AS o ON true
"""

# Rows that can be seen have numbers below the snapshot's end, unless they came from another server by dump and restore.
_ARE_FOREIGN = "SELECT FROM titan_outbox WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT 1"
_ADOPT = f"""
WITH foreign_rows AS (
  SELECT revision FROM titan_outbox WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())
  ORDER BY revision LIMIT {ROWS_AT_ONCE}
)
UPDATE titan_outbox o SET xid = pg_current_xact_id() FROM foreign_rows f WHERE o.revision = f.revision
"""


async def adopt(session: Session) -> None:
    """Give the rows that came from another server numbers of this one; else they would be told when it gets there."""
    while await session.read_row(_ARE_FOREIGN) is not None:
        await session.begin(_ADOPT)
        await session.commit()


async def changes(session: Session, after: str | None, limit: int) -> Changes | ChangesGone:
    """Return changes behind a cursor; see `titan.store.contract.Store.changes`."""
    cursor = Cursor(b"", FIRST) if after is None else Cursor.parse(after)
    if cursor is None:
        return ChangesGone()
    telling = None if cursor.telling is None else str(cursor.telling)
    rows = await session.read_rows(_TELL, str(cursor.seen), telling, cursor.revision, limit + 1)
    here, now = identity_of(rows[0]), Snapshot.parse(rows[0]["snapshot"])
    if after is not None and not is_kept(cursor, here, now, rows[0]["trimmed"]):
        return ChangesGone()
    now = _lasting(now, rows[0]["committed"], cursor.seen.xmax)
    found = [row for row in rows if row["revision"] is not None]
    window, behind = cursor.advance(here, now, [row["revision"] for row in found], limit)
    told = [row for row in found[:limit] if window.sees(row["xid"])]
    cursors = cursor.behind_each(here, window, [row["revision"] for row in told])
    items = tuple(map(_change, told, cursors))
    return Changes(items, str(behind), shows=behind.seen.xmin - 1, is_last=behind.telling is None and window == now)


async def latest(session: Session, limit: int) -> Latest:
    """Return the newest changes and the cursor behind them; see `titan.store.contract.Store.latest`."""
    rows = await session.read_rows(_LATEST, limit)
    here, now = identity_of(rows[0]), Snapshot.parse(rows[0]["snapshot"])
    now = _lasting(now, rows[0]["committed"], FIRST.xmax).coarsened()
    items = tuple(_change(row) for row in rows if row["revision"] is not None)
    if len(items) == limit:  # the lowest number's other changes may be cut off
        whole_from = max(min((item.mark for item in items), default=now.xmax), rows[0]["trimmed"] or 0)
    else:
        whole_from = rows[0]["trimmed"] or 0
    return Latest(items, str(Cursor(here, now)), now.xmin - 1, whole_from, here.hex(), rows[0]["identity"])


def identity_of(row: Row) -> bytes:
    """Name the history that a row with the columns of `WHOSE` came from."""
    parts = "/".join(str(row[name]) for name in ("identity", "system", "timeline", "outbox"))
    return blake2b(parts.encode(), digest_size=IDENTITY_BYTES).digest()


def _lasting(now: Snapshot, committed: int | None, seen: int) -> Snapshot:
    """Return what of a snapshot outlives a crash. What was seen below `seen` does; None: all does."""
    return now if committed is None else now.cut_off(max(committed + 1, seen))


def is_kept(cursor: Cursor, here: bytes, now: Snapshot, trimmed: int | None) -> bool:
    """Say whether all that the cursor has not seen can still be told."""
    if cursor.identity != here or cursor.seen.xmax > now.xmax:
        return False
    # Every number below xmin was seen. Stricter than need be where a transaction ran for longer than changes are kept.
    return trimmed is None or trimmed < cursor.seen.xmin


def _change(row: Row, cursor: str = "") -> Change:
    kind, change = KIND_OF[row["kind"]], CHANGE_OF[row["type"]]
    return Change(row["revision"], kind, row["id"], change, row["modified_ms"], row["xid"], cursor)
