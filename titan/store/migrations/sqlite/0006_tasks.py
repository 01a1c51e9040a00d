"""Tasks of leaders: when each is due and how its last run ended; the figures that one of them counts.

Going back forgets both: the program before has no tasks, and the one after begins each of them anew.
"""

from titan.store.migrations.sql import run

revision = "0006"
down_revision = "0005"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE task (
      name TEXT PRIMARY KEY,
      due_ms INTEGER NOT NULL,
      requested_ms INTEGER,
      started_ms INTEGER,
      is_running INTEGER NOT NULL DEFAULT 0 CHECK (is_running IN (0, 1)),
      ended_ms INTEGER,
      outcome TEXT,
      detail TEXT NOT NULL DEFAULT '',
      succeeded_ms INTEGER,
      failures INTEGER NOT NULL DEFAULT 0,
      runs INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE figure (
      name TEXT NOT NULL,
      label TEXT NOT NULL,
      value INTEGER NOT NULL,
      PRIMARY KEY (name, label)
    ) STRICT, WITHOUT ROWID
    """,
)

DOWN = ("DROP TABLE figure", "DROP TABLE task")


def upgrade() -> None:
    """Make the tables."""
    run(UP)


def downgrade() -> None:
    """Forget all tasks."""
    run(DOWN)
