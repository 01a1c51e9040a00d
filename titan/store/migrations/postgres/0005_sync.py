"""What is known of documents that are pulled from other servers, and where each pull stands.

Going back forgets it: the copies stay, and a later pull takes those that are still equal for documents of this server's
own, which it never deletes.
"""

revision = "0005"
down_revision = "0004"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE titan_sync_source (
      source text PRIMARY KEY,
      origin bytea NOT NULL,
      scope bytea NOT NULL,
      kind smallint,
      listed_by text,
      cursor text,
      is_listed boolean NOT NULL DEFAULT false
    )
    """,
    """
    CREATE TABLE titan_sync_document (
      source text NOT NULL,
      kind smallint NOT NULL,
      id_digest bytea NOT NULL,
      id text NOT NULL,
      etag text,
      digest bytea,
      gave_way bytea,
      revision bigint NOT NULL,
      is_copy boolean NOT NULL,
      PRIMARY KEY (source, kind, id_digest)
    )
    """,
)

DOWN = ("DROP TABLE titan_sync_document", "DROP TABLE titan_sync_source")
