"""Before a store is opened: the data folder, the file's health as far as a start can see it, its schema."""

import os
import sqlite3
import sys
from pathlib import Path

import trio

from titan.store.contract import StoreDamaged
from titan.store.schema import UPGRADABLE, Schema, SchemaUnfit, judge, unfit

APPLICATION_ID = int.from_bytes(b"TdAA")


class DataFolderUnusable(Exception):
    """The folder of the database cannot be used; the text says why and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def make_folder(folder: Path) -> None:
    """Make the data folder, readable by its owner alone, and see that it can be written to."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataFolderUnusable(f"cannot make the data folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataFolderUnusable(f"the data folder {folder} cannot be written to by this user")


def look(path: Path) -> Schema | None:
    """Return the schema of the database, None where there is no file or it is empty.

    Raises `StoreDamaged` where the file is not a sound Titan database as far as header and schema tell.
    """
    if not path.exists():
        return None
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            if not tables:
                return None
            (application_id,) = db.execute("PRAGMA application_id").fetchone()
            if application_id != APPLICATION_ID or "titan_schema" not in tables:
                raise StoreDamaged(f"{path} is an SQLite database, but not one of Titan")
            row = db.execute("SELECT revision, oldest_program FROM titan_schema").fetchone()
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"{path} is damaged or no database: {error}") from error
    if row is None:
        raise StoreDamaged(f"{path}: titan_schema is empty")
    return Schema(*row)


async def prepare(path: Path) -> None:
    """Make the database ready to be served: create or upgrade it if that is due.

    Raises `DataFolderUnusable`, `StoreDamaged` or `SchemaUnfit`.
    """
    make_folder(path.parent)
    found = await trio.to_thread.run_sync(look, path)
    if judge(found) in UPGRADABLE:
        await migrate(path)
        found = await trio.to_thread.run_sync(look, path)
    if error := unfit(found):
        raise error


async def migrate(path: Path) -> None:
    """Run the migrations in a process of their own: the server never imports alembic."""
    root = str(Path(__file__).parents[3])
    done = await trio.run_process(
        [sys.executable, "-m", "titan.store.migrations", "upgrade", str(path)],
        capture_stderr=True,
        stdin=b"",
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))},
    )
    if done.returncode:
        raise SchemaUnfit(judge(None), f"the upgrade of {path} failed: {done.stderr.decode(errors='replace').strip()}")
