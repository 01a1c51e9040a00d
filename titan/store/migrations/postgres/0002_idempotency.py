"""Idempotency records: what a request with a key did, for its retries.

Going back forgets them: a retry that then comes with an old key is a new request.
"""

revision = "0002"
down_revision = "0001"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE titan_idempotency (
      scope bytea PRIMARY KEY,
      request bytea NOT NULL,
      outcome smallint NOT NULL,
      revision bigint NOT NULL,
      modified_ms bigint NOT NULL,
      created_ms bigint NOT NULL
    )
    """,
    "CREATE INDEX titan_idempotency_by_age ON titan_idempotency (created_ms)",
)

DOWN = ("DROP TABLE titan_idempotency",)
