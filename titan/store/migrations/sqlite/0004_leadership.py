"""Terms of leaders: a row per role, the number of its newest term, which every write of a leader compares.

No leases as on PostgreSQL: one process serves the file, and it leads.

Going back keeps the epochs where there are any: a number that came a second time would let a deposed leader write. The
program before does not look at them.
"""

from alembic import op

from titan.store.migrations.sql import run

revision = "0004"
down_revision = "0003"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE IF NOT EXISTS epoch (
      role TEXT PRIMARY KEY,
      epoch INTEGER NOT NULL,
      holder TEXT NOT NULL,
      began_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

DOWN = ("DROP TABLE epoch",)


def upgrade() -> None:
    """Make the table, or take up the one that is still there."""
    run(UP)


def downgrade() -> None:
    """Remove the table if no term ever began."""
    if op.get_bind().exec_driver_sql("SELECT 1 FROM epoch LIMIT 1").first() is None:
        run(DOWN)
