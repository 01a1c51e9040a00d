"""Documents, their elements and search terms, the outbox.

The same shape as the embedded store's 0001; what differs, and why:

* Names begin with `titan_`: the database may be shared with other programs.
* An id may have 2,048 characters, more than an index entry holds, so `(kind, digest)` is what is unique; a reader
  compares the id itself.
* No foreign keys: each would look up the document once more per element and term. All rows of a document are written
  by one statement, while its writer holds the document's lock.
* An outbox row carries its transaction's number, by which a reader finds what it has not seen yet: numbers of a
  sequence become visible in another order than they were drawn.
* A revision is drawn from `titan_revision`, not from an identity column, because the document gets it too.
"""

revision = "0001"
down_revision = None
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE titan_schema (
      one smallint PRIMARY KEY CHECK (one = 1),
      revision text NOT NULL,
      oldest_program text NOT NULL
    )
    """,
    """
    CREATE TABLE titan_meta (
      name text PRIMARY KEY,
      value text NOT NULL
    )
    """,
    "INSERT INTO titan_meta (name, value) VALUES ('identity', replace(gen_random_uuid()::text, '-', ''))",
    "CREATE SEQUENCE titan_revision",
    """
    CREATE TABLE titan_document (
      n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      revision bigint NOT NULL,
      modified_ms bigint NOT NULL,
      plain_bytes bigint NOT NULL,
      full_bytes bigint NOT NULL,
      kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 3),
      has_elements boolean NOT NULL,
      digest bytea NOT NULL CHECK (length(digest) = 32),
      id text NOT NULL,
      header bytea NOT NULL,
      UNIQUE (kind, digest)
    ) WITH (fillfactor = 90)
    """,
    "CREATE INDEX titan_document_in_order ON titan_document (kind, n)",
    """
    CREATE TABLE titan_element (
      n bigint NOT NULL,
      position bigint NOT NULL,
      id_short text,
      content_without_blobs bytea,
      content bytea NOT NULL,
      PRIMARY KEY (n, position)
    ) WITH (fillfactor = 90)
    """,
    # A prefix, because an idShort that only lenient verification lets in may be longer than an index entry.
    "CREATE INDEX titan_element_by_id_short ON titan_element (n, left(id_short, 128))",
    """
    CREATE TABLE titan_term (
      kind smallint NOT NULL,
      field smallint NOT NULL,
      digest bytea NOT NULL CHECK (length(digest) = 16),
      n bigint NOT NULL,
      PRIMARY KEY (kind, field, digest, n)
    )
    """,
    "CREATE INDEX titan_term_of_document ON titan_term (n)",
    """
    CREATE TABLE titan_outbox (
      revision bigint PRIMARY KEY,
      xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
      modified_ms bigint NOT NULL,
      kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 3),
      type smallint NOT NULL CHECK (type BETWEEN 1 AND 3),
      id text NOT NULL
    )
    """,
    "CREATE INDEX titan_outbox_by_xid ON titan_outbox (xid)",
)

DOWN = (
    "DROP TABLE IF EXISTS titan_blob_use, titan_blob_chunk, titan_blob",  # 0003 leaves them where there are files
    "DROP TABLE IF EXISTS titan_epoch",  # 0004 leaves it where there were terms
    "DROP TABLE titan_outbox",
    "DROP TABLE titan_term",
    "DROP TABLE titan_element",
    "DROP TABLE titan_document",
    "DROP SEQUENCE titan_revision",
    "DROP TABLE titan_meta",
    "DROP TABLE titan_schema",
)
