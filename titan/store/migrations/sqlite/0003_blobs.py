"""Files: a row for each, and which document names which.

Going back keeps both tables where there are files: the program before does not look at them, and the way forward finds
everything again.

`touched_ms` is when the file came or when a document last ceased to name it; `is_going` says that a sweep is removing
it. No foreign key to `document`: a program that knows nothing of files may delete a document and leave its row behind.
"""

from alembic import op

from titan.store.migrations.sql import run

revision = "0003"
down_revision = "0002"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE IF NOT EXISTS blob (
      key TEXT PRIMARY KEY,
      size INTEGER NOT NULL,
      touched_ms INTEGER NOT NULL,
      is_going INTEGER NOT NULL CHECK (is_going IN (0, 1))
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS blob_by_age ON blob (touched_ms)",
    """
    CREATE TABLE IF NOT EXISTS blob_use (
      n INTEGER NOT NULL,
      key TEXT NOT NULL,
      PRIMARY KEY (n, key)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS blob_use_by_key ON blob_use (key)",
    "DELETE FROM blob_use WHERE n NOT IN (SELECT n FROM document)",
)

DOWN = (
    "DROP TABLE blob_use",
    "DROP TABLE blob",
)


def upgrade() -> None:
    """Make the tables, or take up those that are still there."""
    run(UP)


def downgrade() -> None:
    """Remove the tables if there are no files."""
    if op.get_bind().exec_driver_sql("SELECT 1 FROM blob LIMIT 1").first() is None:
        run(DOWN)
