"""Whose turn it is to write: a lock file beside the database, taken for each transaction by whoever writes.

SQLite's own write lock would be enough for correctness of transactions, but not for three other things:

* SQLite before 3.51.3 can damage a database when one process commits while another one's checkpoint begins (the
  "WAL-reset bug"). Checkpoints happen inside a turn here, so the two never meet.
* Its busy handler sleeps up to 100 ms between looks and gives no turns, which starves the server beside an import.
* `titan db restore` replaces the file. It does so in its turn, and every writer looks in its own turn whether the file
  is still the one that it has open.

A file of its own, because closing any descriptor of the database file would drop SQLite's locks on it. The locks are
those of the process (POSIX records): one `Turn` per process and database, and they end with the process.
"""

import fcntl
import os
import time

LOOK_EVERY_S = 0.0005
_TURN, _NEXT = 0, 1  # the bytes that are locked


class Turn:
    """The lock for one database.

    Who waits is the next: it holds a second lock meanwhile, which the present holder needs to get another turn. So two
    busy writers alternate (measured: deploy/adr/0011).
    """

    def __init__(self, database: str) -> None:
        self._fd = os.open(f"{database}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, patience_s: float) -> bool:
        """Wait up to `patience_s` for the turn; False where another process kept it."""
        deadline = time.monotonic() + patience_s
        if not self._lock(_NEXT, deadline):
            return False
        try:
            return self._lock(_TURN, deadline)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _NEXT)

    def leave(self) -> None:
        """Give the turn to whoever waits."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _TURN)

    def close(self) -> None:
        """Forget the lock; leaves it if it is held."""
        os.close(self._fd)

    def _lock(self, byte: int, deadline: float) -> bool:
        while True:
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
            except (BlockingIOError, PermissionError):  # POSIX lets a busy lock be either
                if time.monotonic() >= deadline:
                    return False
                time.sleep(LOOK_EVERY_S)
            else:
                return True


def file_of(path: str) -> str:
    """Identify the file behind a path, so that another one in its place is noticed; '' where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 (pathlib would cost the writer process memory)
    except FileNotFoundError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"
