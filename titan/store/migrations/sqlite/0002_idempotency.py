"""Idempotency records: what a request with a key did, for its retries.

Going back forgets them: a retry that then comes with an old key is a new request.
"""

from titan.store.migrations.sql import run

revision = "0002"
down_revision = "0001"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE idempotency (
      scope BLOB PRIMARY KEY,
      request BLOB NOT NULL,
      outcome INTEGER NOT NULL,
      revision INTEGER NOT NULL,
      modified_ms INTEGER NOT NULL,
      created_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX idempotency_by_age ON idempotency (created_ms)",
)

DOWN = ("DROP TABLE idempotency",)


def upgrade() -> None:
    """Make the table."""
    run(UP)


def downgrade() -> None:
    """Forget all records."""
    run(DOWN)
