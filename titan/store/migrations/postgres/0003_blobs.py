"""Files: their content in chunks, a row for each, and which document names which.

Going back keeps the tables where there are files: the program before does not look at them, and the way forward finds
everything again.

A row of `titan_blob` comes with an upload's first chunk (state 0, no key yet), is finished (1), and is marked by the
sweep that removes it (2). `touched_ms` is when the upload last moved, the file came, or a document last ceased to name
it. Chunks are not compressed: images and packages already are.
"""

revision = "0003"
down_revision = "0002"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE IF NOT EXISTS titan_blob (
      n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      key text UNIQUE,
      size bigint NOT NULL,
      touched_ms bigint NOT NULL,
      state smallint NOT NULL CHECK (state BETWEEN 0 AND 2)
    )
    """,
    "CREATE INDEX IF NOT EXISTS titan_blob_by_age ON titan_blob (touched_ms)",
    """
    CREATE TABLE IF NOT EXISTS titan_blob_chunk (
      blob bigint NOT NULL,
      number integer NOT NULL,
      content bytea NOT NULL,
      PRIMARY KEY (blob, number)
    )
    """,
    "ALTER TABLE titan_blob_chunk ALTER COLUMN content SET STORAGE EXTERNAL",
    """
    CREATE TABLE IF NOT EXISTS titan_blob_use (
      n bigint NOT NULL,
      blob bigint NOT NULL,
      PRIMARY KEY (n, blob)
    )
    """,
    "CREATE INDEX IF NOT EXISTS titan_blob_use_by_blob ON titan_blob_use (blob)",
    "DELETE FROM titan_blob_use WHERE n NOT IN (SELECT n FROM titan_document)",
)

DOWN = (
    """
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM titan_blob) THEN
        DROP TABLE titan_blob_use, titan_blob_chunk, titan_blob;
      END IF;
    END $$
    """,
)
