"""Documents, their elements and search terms, the outbox.

`n` is the position of a document in lists. `id` is unique in full: SQLite's indexes have no limit on the length of a
key, so no digest stands between an id and its row (measured: nothing gained by one at the usual length of an id).

Elements are rows of their own with spaced positions: one can be changed, inserted or removed without touching its
siblings. The column without Blob values comes first, so that a default read never walks a Blob's overflow pages.

`plain_bytes` and `full_bytes` say how much a read without and with Blob values will give: what is large is not read on
the loop's thread.

A term is 16 bytes of digest over a value of any length. AUTOINCREMENT keeps both sequences from ever going back, also
when the newest rows are deleted: a revision (the outbox's number) never repeats.
"""

from titan.store.migrations.sql import run

revision = "0001"
down_revision = None
oldest_program = "0.1.0"

UP = (
    "PRAGMA application_id = 1415856449",  # 'TdAA', tells a Titan store from any other SQLite file
    """
    CREATE TABLE titan_schema (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      revision TEXT NOT NULL,
      oldest_program TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE titan_meta (
      name TEXT PRIMARY KEY,
      value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO titan_meta (name, value) VALUES ('identity', lower(hex(randomblob(16))))",
    """
    CREATE TABLE document (
      n INTEGER PRIMARY KEY AUTOINCREMENT,
      kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),
      revision INTEGER NOT NULL,
      modified_ms INTEGER NOT NULL,
      has_elements INTEGER NOT NULL CHECK (has_elements IN (0, 1)),
      plain_bytes INTEGER NOT NULL,
      full_bytes INTEGER NOT NULL,
      id TEXT NOT NULL,
      header BLOB NOT NULL,
      UNIQUE (kind, id)
    ) STRICT
    """,
    "CREATE INDEX document_in_order ON document (kind, n)",
    """
    CREATE TABLE element (
      e INTEGER PRIMARY KEY,
      n INTEGER NOT NULL REFERENCES document (n) ON DELETE CASCADE,
      position INTEGER NOT NULL,
      id_short TEXT,
      content_without_blobs BLOB,
      content BLOB NOT NULL,
      UNIQUE (n, position)
    ) STRICT
    """,
    "CREATE INDEX element_by_id_short ON element (n, id_short)",
    """
    CREATE TABLE term (
      kind INTEGER NOT NULL,
      field INTEGER NOT NULL,
      digest BLOB NOT NULL CHECK (length(digest) = 16),
      n INTEGER NOT NULL REFERENCES document (n) ON DELETE CASCADE,
      PRIMARY KEY (kind, field, digest, n)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX term_of_document ON term (n)",
    """
    CREATE TABLE outbox (
      revision INTEGER PRIMARY KEY AUTOINCREMENT,
      kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),
      type INTEGER NOT NULL CHECK (type BETWEEN 1 AND 3),
      modified_ms INTEGER NOT NULL,
      id TEXT NOT NULL
    ) STRICT
    """,
)

DOWN = (
    "DROP TABLE IF EXISTS blob_use",  # 0003 leaves them where there are files
    "DROP TABLE IF EXISTS blob",
    "DROP TABLE IF EXISTS epoch",  # 0004 leaves it where there were terms
    "DROP TABLE outbox",
    "DROP TABLE term",
    "DROP TABLE element",
    "DROP TABLE document",
    "DROP TABLE titan_meta",
    "DROP TABLE titan_schema",
    "DELETE FROM sqlite_sequence",
    "PRAGMA application_id = 0",
)


def upgrade() -> None:
    """Make the schema."""
    run(UP)


def downgrade() -> None:
    """Leave an empty database."""
    run(DOWN)
