"""Durable cursors of those who follow the outbox, and when each source was last pulled.

Going back forgets both: the program before knows neither. What a cursor kept may be trimmed then.
"""

revision = "0007"
down_revision = "0006"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE titan_cursor (
      name text PRIMARY KEY,
      cursor text NOT NULL,
      kept_ms bigint NOT NULL
    )
    """,
    # NULL, of a row that the program before made: not known.
    "ALTER TABLE titan_sync_source ADD COLUMN begun_ms bigint",
    "UPDATE titan_sync_source SET begun_ms = extract(epoch FROM clock_timestamp()) * 1000",
)

DOWN = ("ALTER TABLE titan_sync_source DROP COLUMN begun_ms", "DROP TABLE titan_cursor")
