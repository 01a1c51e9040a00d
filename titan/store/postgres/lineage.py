"""A name for the primary's history, by which a replica shows that it follows this primary and no other.

A timeline's number alone says little: two standbys of one primary, promoted one after the other, may both begin the
timeline 2. So whoever first connects to a timeline leaves a random word beside its number; a replica that shows both
has replayed this history at least up to that point.
"""

from titan.store.postgres.session import Session

TIMELINE = "left(pg_walfile_name(pg_current_wal_lsn()), 8)"
LINEAGE = "(SELECT value FROM titan_meta WHERE name = 'lineage')"

_IS_NAMED = f"""
SELECT CASE WHEN pg_is_in_recovery() THEN true ELSE coalesce(left({LINEAGE}, 8) = {TIMELINE}, false) END AS is_named
"""
_NAME = f"""
SET TRANSACTION READ WRITE;
INSERT INTO titan_meta (name, value) VALUES ('lineage', {TIMELINE} || '-' || replace(gen_random_uuid()::text, '-', ''))
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE left(titan_meta.value, 8) <> left(excluded.value, 8)
"""


async def name(session: Session) -> None:
    """Name the primary's history where nobody has, also on a server that is read-only by default."""
    row = await session.read_row(_IS_NAMED)
    assert row is not None
    if not row["is_named"]:
        await session.begin(_NAME)
        await session.commit()
