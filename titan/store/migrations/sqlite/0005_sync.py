"""What is known of documents that are pulled from other servers, and where each pull stands.

Going back forgets it: the copies stay, and a later pull takes those that are still equal for documents of this server's
own, which it never deletes.
"""

from titan.store.migrations.sql import run

revision = "0005"
down_revision = "0004"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE sync_source (
      source TEXT PRIMARY KEY,
      origin BLOB NOT NULL,
      scope BLOB NOT NULL,
      kind INTEGER,
      listed_by TEXT,
      cursor TEXT,
      is_listed INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE sync_document (
      source TEXT NOT NULL,
      kind INTEGER NOT NULL,
      id TEXT NOT NULL,
      etag TEXT,
      digest BLOB,
      gave_way BLOB,
      revision INTEGER NOT NULL,
      is_copy INTEGER NOT NULL,
      PRIMARY KEY (source, kind, id)
    ) STRICT, WITHOUT ROWID
    """,
)

DOWN = ("DROP TABLE sync_document", "DROP TABLE sync_source")


def upgrade() -> None:
    """Make the tables."""
    run(UP)


def downgrade() -> None:
    """Forget all records."""
    run(DOWN)
