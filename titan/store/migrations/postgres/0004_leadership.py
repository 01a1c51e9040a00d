"""Terms of leaders, and leases for where there is no Redis.

`titan_epoch` has a row per role: the number of its newest term, which every write of a leader compares in its own
transaction (`SELECT ... FOR SHARE`). `titan_lease` is a table of its own, because a renewal must not wait for such a
transaction, nor one of them for a renewal.

Going back keeps the epochs where there are any: a number that came a second time would let a deposed leader write. The
program before does not look at them.
"""

revision = "0004"
down_revision = "0003"
oldest_program = "0.1.0"

UP = (
    """
    CREATE TABLE IF NOT EXISTS titan_epoch (
      role text PRIMARY KEY,
      epoch bigint NOT NULL,
      holder text NOT NULL,
      began_ms bigint NOT NULL
    )
    """,
    """
    CREATE TABLE titan_lease (
      role text PRIMARY KEY,
      holder text NOT NULL,
      ends_at timestamptz NOT NULL,
      is_asked_for boolean NOT NULL
    )
    """,
)

DOWN = (
    "DROP TABLE titan_lease",
    """
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM titan_epoch) THEN
        DROP TABLE titan_epoch;
      END IF;
    END $$
    """,
)
