"""Runs migrations with alembic: `titan serve` starts it in a process of its own and never imports it."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from titan.store.sqlite.turn import Turn

FOLDER = Path(__file__).parent
SQLITE = FOLDER / "sqlite"
TURN_S = 30.0
"""How long an upgrade waits for writers of other processes; each of them is done in milliseconds."""


class NotMigrated(Exception):
    """The revision was not reached; the text says why. A step that was not made has changed nothing."""


class BrokenChain(NotMigrated):
    """The migration files do not follow one another; the text says where."""


class UnknownRevision(NotMigrated):
    """No migration leads there."""


def upgrade(path: Path, target: str = "head", *, folder: Path = SQLITE) -> None:
    """Bring an SQLite database to a revision, making the file if there is none. All steps are one transaction."""
    chain(folder)
    with _connection(path) as connection, _alembic_errors():
        command.upgrade(_config(folder, connection), target)


def downgrade(path: Path, target: str, *, may_delete_documents: bool = False, folder: Path = SQLITE) -> None:
    """Take an SQLite database back to a revision, or by so many steps (`-1`). All steps are one transaction.

    Going back to nothing is refused while there are documents, unless `may_delete_documents`.
    """
    revisions = [script.revision for script in chain(folder)]
    with _connection(path) as connection, _alembic_errors():
        if not may_delete_documents and _leads_to_nothing(connection, target, revisions):
            (documents,) = connection.exec_driver_sql("SELECT count(*) FROM document").one()
            if documents:
                raise NotMigrated(f"this would delete all {documents} documents; --delete-documents does it")
        command.downgrade(_config(folder, connection), target)


def chain(folder: Path = SQLITE) -> list[Script]:
    """Return the migrations in order. Raises `BrokenChain` for a hole, a double, a branch or a missing part."""
    found = []
    previous: str | None = None
    scripts = {script.revision: script for script in _scripts(folder).walk_revisions()}
    for number, revision in enumerate(sorted(scripts), start=1):
        script = scripts[revision]
        name = Path(script.path).name
        if revision != f"{number:04}" or not name.startswith(f"{revision}_"):
            raise BrokenChain(f"{name} (revision {revision}): number {number:04} is expected here, in name and file")
        if script.down_revision != previous:
            raise BrokenChain(f"{name}: must follow {previous}, not {script.down_revision}")
        if missing := [part for part in ("UP", "DOWN", "oldest_program") if not getattr(script.module, part, None)]:
            raise BrokenChain(f"{name}: has no {missing[0]}")
        previous = revision
        found.append(script)
    return found


def note_schema(scripts: ScriptDirectory) -> Callable[..., None]:
    """Return alembic's callback after each step: it writes what programs read, in the step's own transaction."""

    def note(*, ctx: MigrationContext, step: MigrationInfo, heads: Any, run_args: Any) -> None:  # noqa: ARG001
        for revision in step.destination_revision_ids:
            script = scripts.get_revision(revision)
            assert script is not None
            assert ctx.connection is not None
            ctx.connection.exec_driver_sql(
                "INSERT INTO titan_schema (one, revision, oldest_program) VALUES (1, ?, ?) ON CONFLICT (one)"
                " DO UPDATE SET revision = excluded.revision, oldest_program = excluded.oldest_program",
                (revision, script.module.oldest_program),
            )

    return note


def _scripts(folder: Path) -> ScriptDirectory:
    return ScriptDirectory(str(FOLDER), version_locations=[str(folder)])


def _config(folder: Path, connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("version_locations", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    return config


def _leads_to_nothing(connection: Connection, target: str, revisions: list[str]) -> bool:
    if target == "base":
        return True
    current = connection.exec_driver_sql("SELECT max(revision) FROM titan_schema").scalar()
    steps = int(target) if re.fullmatch(r"-\d+", target) else 0
    return current in revisions and revisions.index(current) + 1 + steps <= 0


@contextmanager
def _alembic_errors() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise UnknownRevision(str(error)) from error


@contextmanager
def _connection(path: Path) -> Iterator[Connection]:
    """Open the database for an upgrade: this process' turn, one writer at a time, SQLite's own transactions."""
    path = path.resolve()
    _make_file(path)
    turn = Turn(str(path))
    try:
        if not turn.take(TURN_S):
            raise NotMigrated(f"another process kept {path} locked for {TURN_S:.0f} s")
        engine = create_engine("sqlite://", creator=lambda: _open(path), poolclass=NullPool)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        with engine.connect() as connection:
            yield connection
            connection.commit()
    except DBAPIError as error:
        raise NotMigrated(str(error.orig)) from error
    finally:
        turn.close()


def _make_file(path: Path) -> None:
    """Make the file for its owner alone; before any connection, as closing a descriptor drops SQLite's locks."""
    if path.exists():
        return
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    return db
