"""Tasks of leaders: when each is due and how its last run ended; the figures that one of them counts.

Going back forgets both: the program before has no tasks, and the one after begins each of them anew.
"""

revision = "0006"
down_revision = "0005"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE titan_task (
      name text PRIMARY KEY,
      due_ms bigint NOT NULL,
      requested_ms bigint,
      started_ms bigint,
      is_running boolean NOT NULL DEFAULT false,
      ended_ms bigint,
      outcome text,
      detail text NOT NULL DEFAULT '',
      succeeded_ms bigint,
      failures integer NOT NULL DEFAULT 0,
      runs bigint NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE titan_figure (
      name text NOT NULL,
      label text NOT NULL,
      value bigint NOT NULL,
      PRIMARY KEY (name, label)
    )
    """,
)

DOWN = ("DROP TABLE titan_figure", "DROP TABLE titan_task")
