"""A consistent copy of the database while it is written to."""

import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from titan.store.sqlite.check import findings

STEP_PAGES = 1024
"""Pages copied between two reports of progress (4 MiB)."""


Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


def unseen(_done: int, _total: int) -> None:
    """Take progress that nobody looks at."""


class BackupFailed(Exception):
    """There is no backup; the text says why. The database is as it was."""


def back_up(path: Path, target: Path, progress: Progress = unseen) -> int:
    """Copy the database to a new file, readable by its owner alone; return its size in bytes.

    The copy is the state at one moment, complete in one file, on disk (fsync) when this returns, and was read and
    checked in full. It is made under another name and appears under its own only then; an existing file is never
    replaced. Writers go on meanwhile; what they write stays in the write-ahead log until the copy is made.
    `progress` gets pages done and pages in all. Raises `BackupFailed`.
    """
    if target.exists():
        raise BackupFailed(f"{target} exists already; a backup never replaces a file")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        os.close(descriptor)
        part = Path(name)
        try:
            copy(path, part, progress)
            if wrong := next(findings(part), None):
                raise BackupFailed(f"the database is damaged, no backup was made: {wrong}")
            sync(part)
            _give_name(part, target)
        finally:
            for leftover in (part, *(part.with_name(part.name + end) for end in ("-wal", "-shm", "-journal"))):
                leftover.unlink(missing_ok=True)
        sync(target.parent)
    except FileExistsError:
        raise BackupFailed(f"{target} exists already; a backup never replaces a file") from None
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"no backup was made: {error}") from error
    return target.stat().st_size


def copy(source: Path, target: Path, progress: Progress) -> None:
    """Copy a database into an empty file, as it is at one moment, and leave it complete in that one file."""
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader,
        closing(sqlite3.connect(target, isolation_level=None)) as writer,
    ):
        # One read transaction around all steps: without it every write of another process starts the copy anew.
        reader.execute("BEGIN")
        reader.execute("SELECT revision FROM titan_schema").fetchone()
        reader.backup(writer, pages=STEP_PAGES, progress=lambda _, remaining, total: progress(total - remaining, total))
        reader.execute("COMMIT")
        writer.execute("PRAGMA journal_mode = DELETE")  # the copy of a database in WAL mode is in WAL mode, too


def sync(path: Path) -> None:
    """Bring a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_name(part: Path, target: Path) -> None:
    """Rename without ever replacing: by a link where the file system has links."""
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
            raise
        if target.exists():
            raise FileExistsError from error
        part.rename(target)
