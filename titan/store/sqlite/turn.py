"""Whose turn it is to write: one lock file beside the database, taken for each transaction by whoever writes.

SQLite's own write lock would be enough for correctness of transactions, but not for three other things:

* SQLite before 3.51.3 can damage a database when one process commits while another one's checkpoint begins (the
  "WAL-reset bug"). Checkpoints happen inside a turn here, so the two never meet.
* Its busy handler sleeps up to 100 ms between looks, which starves the server beside an import.
* `titan db restore` replaces the file. It does so in its turn, and every writer looks in its own turn whether the file
  is still the one that it has open.

A file of its own, because closing any descriptor of the database file would drop SQLite's locks on it.
"""

import fcntl
import os
import time

LOOK_EVERY_S = 0.001


class Turn:
    """The lock for one database. It ends with the process that holds it."""

    def __init__(self, database: str) -> None:
        self._fd = os.open(f"{database}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, patience_s: float) -> bool:
        """Wait up to `patience_s` for the turn; False where another process kept it."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(LOOK_EVERY_S)
            else:
                return True

    def leave(self) -> None:
        """Give the turn to whoever waits."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Forget the lock; leaves it if it is held."""
        os.close(self._fd)


def file_of(path: str) -> str:
    """Identify the file behind a path, so that another one in its place is noticed; '' where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 (pathlib would cost the writer process memory)
    except FileNotFoundError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"
