"""Puts a backup in the place of the database."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from titan.store.schema import Fit, Schema, judge, unfit
from titan.store.sqlite.backup import Progress, copy, sync, unseen
from titan.store.sqlite.backup_files import FileDamaged, copy_files, remove_strays
from titan.store.sqlite.check import findings
from titan.store.sqlite.lock import serve_lock
from titan.store.sqlite.prepare import look, make_folder
from titan.store.sqlite.turn import Turn

SEQUENCE_JUMP = 1 << 40
"""How far revisions jump: a trillion is more than the lost time can have drawn, and 8,000 restores fit below 2^53."""
TURN_S = 5.0
_BESIDE = ("-wal", "-shm", "-journal")


class RestoreRefused(Exception):
    """Nothing was changed; the text says why and what to do."""


def restore(source: Path, path: Path, progress: Progress = unseen) -> Schema:
    """Replace the database at `path`, and its files, by the backup `source`; return the schema that it has now.

    Refused while a server or another command uses the database, and for a file that is not sound. The change is one
    rename: a crash leaves the old database or the new one. The new one gets a new identity and its revisions jump, so
    that no entity tag, cursor or cache from before the restore ever fits what is written after it.

    Raises `RestoreRefused`, `AlreadyServed`, `SchemaUnfit`, `StoreDamaged` or `DataFolderUnusable`.
    """
    found = _verified(source)
    make_folder(path.parent)
    try:
        with serve_lock(path):
            return _replace(source, path, found, progress)
    except (OSError, sqlite3.Error, FileDamaged) as error:
        raise RestoreRefused(f"nothing was restored: {error}") from error


def _verified(source: Path) -> Schema:
    """See that the backup is sound from end to end, before anything is touched."""
    if not source.exists():
        raise RestoreRefused(f"there is no file {source}")
    found = look(source)
    if found is None:
        raise RestoreRefused(f"{source} is empty")
    if judge(found) is Fit.TOO_NEW and (error := unfit(found)):
        raise error
    if wrong := next(findings(source), None):
        raise RestoreRefused(f"{source} is damaged: {wrong}")
    return found


def _replace(source: Path, path: Path, found: Schema, progress: Progress) -> Schema:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(descriptor)
    part = Path(name)
    turn = Turn(str(path.resolve()))
    try:
        copy(source, part, progress)
        if not turn.take(TURN_S):
            raise RestoreRefused("another command is writing to the database; try again when it has ended")
        _make_other(part, _highest_revision(path))
        sync(part)
        copy_files(part, source, path)  # harmless to the old database: what it does not name it does not see
        with _alone(path):
            for end in _BESIDE:
                path.with_name(path.name + end).unlink(missing_ok=True)
            part.replace(path)
            sync(path.parent)
    finally:
        turn.close()
        for leftover in (part, *(part.with_name(part.name + end) for end in _BESIDE)):
            leftover.unlink(missing_ok=True)
        _tidy(path)
    return found


def _tidy(path: Path) -> None:
    """Remove the files of the lost time, or, where the old database stays, those that came for the new one."""
    if path.exists():
        with suppress(sqlite3.Error):  # the old one, damaged: what it names cannot be told, so all is kept
            remove_strays(path)


def _make_other(part: Path, highest: int) -> None:
    """Give the copy an identity of its own and let its revisions go on where no one has been."""
    with closing(sqlite3.connect(part, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("UPDATE titan_meta SET value = lower(hex(randomblob(16))) WHERE name = 'identity'")
        (drawn,) = db.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        db.execute("DELETE FROM sqlite_sequence WHERE name = 'outbox'")
        db.execute(
            "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)",
            (max(drawn or 0, highest) + SEQUENCE_JUMP,),
        )
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'blob'").fetchone():
            db.execute("DELETE FROM blob WHERE key NOT IN (SELECT key FROM blob_use)")  # a backup does not have those
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")  # now, while nobody reads: the change needs the file for itself


def _highest_revision(path: Path) -> int:
    """Return the last revision that the database to be replaced has drawn; 0 where it cannot tell."""
    if not path.exists():
        return 0
    try:
        with closing(_connect(path)) as db:
            (drawn,) = db.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    except sqlite3.Error:
        return 0  # damaged, perhaps the reason for the restore; the jump alone has to do
    return drawn or 0


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Be the only process that has the old database open, so that no one goes on with a file that is gone.

    SQLite leaves WAL mode for a sole user only, with everything in the main file and no log beside it that could be
    taken for the new one's. A damaged file cannot be asked; whoever still has it open notices the replacement.
    """
    if not path.exists():
        yield
        return
    with closing(_connect(path)) as db:
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise RestoreRefused("another command has the database open; try again when it has ended") from error
        yield


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=1.0)
