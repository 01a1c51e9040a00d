"""A consistent copy of the database while it is written to."""

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from titan.store.sqlite.backup_files import FileDamaged, copy_files
from titan.store.sqlite.blobs import blob_folder
from titan.store.sqlite.check import findings

STEP_PAGES = 1024
"""Pages copied between two reports of progress (4 MiB)."""


Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


def unseen(_done: int, _total: int) -> None:
    """Take progress that nobody looks at."""


class BackupFailed(Exception):
    """There is no backup; the text says why. The database is as it was."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What was made."""

    size: int
    """Bytes of the database."""
    files: int
    """How many files documents name; they are in the folder `FILE-blobs` beside it, which there is only then."""


def back_up(path: Path, target: Path, progress: Progress = unseen) -> Backup:
    """Copy the database to a new file, readable by its owner alone, and the files of its documents beside it.

    The copy is the state at one moment, on disk (fsync) when this returns, and was read and checked in full. It is made
    under another name and appears under its own only then; nothing that exists is ever replaced. Writers go on
    meanwhile; what they write stays in the write-ahead log until the copy is made. `progress` gets pages done and pages
    in all. Raises `BackupFailed`.
    """
    for taken in (target, blob_folder(target)):
        if taken.exists():
            raise BackupFailed(f"{taken} exists already; a backup never replaces a file")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        os.close(descriptor)
        part = Path(name)
        try:
            files = _make(path, part, progress)
            _give_names(part, target, has_files=files > 0)
        finally:
            for leftover in (part, *(part.with_name(part.name + end) for end in ("-wal", "-shm", "-journal"))):
                leftover.unlink(missing_ok=True)
            shutil.rmtree(blob_folder(part), ignore_errors=True)
        sync(target.parent)
    except FileExistsError:
        raise BackupFailed(f"{target} exists already; a backup never replaces a file") from None
    except (OSError, sqlite3.Error, FileDamaged) as error:
        raise BackupFailed(f"no backup was made: {error}") from error
    return Backup(target.stat().st_size, files)


def _make(path: Path, part: Path, progress: Progress) -> int:
    copy(path, part, progress)
    files = copy_files(part, path, part)
    if wrong := next(findings(part), None):
        raise BackupFailed(f"the database is damaged, no backup was made: {wrong}")
    sync(part)
    return files


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


def _give_names(part: Path, target: Path, *, has_files: bool) -> None:
    """Let the backup appear, the database last: where it is, its files are."""
    if not has_files:
        _give_name(part, target)
        return
    blob_folder(part).rename(blob_folder(target))
    try:
        _give_name(part, target)
    except OSError:
        blob_folder(target).rename(blob_folder(part))
        raise


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
