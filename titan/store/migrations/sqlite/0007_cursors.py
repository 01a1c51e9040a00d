"""Durable cursors of those who follow the outbox, and when each source was last pulled.

Going back forgets both: the program before knows neither. What a cursor kept may be trimmed then.
"""

from titan.store.migrations.sql import run

revision = "0007"
down_revision = "0006"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE cursor (
      name TEXT PRIMARY KEY,
      identity TEXT NOT NULL,
      behind INTEGER NOT NULL,
      kept_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # NULL, of a row that the program before made: not known.
    "ALTER TABLE sync_source ADD COLUMN begun_ms INTEGER",
    "UPDATE sync_source SET begun_ms = CAST(strftime('%s', 'now') AS INTEGER) * 1000",
)

DOWN = ("ALTER TABLE sync_source DROP COLUMN begun_ms", "DROP TABLE cursor")


def upgrade() -> None:
    """Make the table and the column."""
    run(UP)


def downgrade() -> None:
    """Forget all cursors."""
    run(DOWN)
