"""`titan db`: look after the store, embedded or in PostgreSQL."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from titan.cli.cursors import cursors
from titan.cli.options import config_option, json_option, load_settings
from titan.cli.transfer.stores import store_errors
from titan.cli.upkeep import Moved, Refused, Upkeep
from titan.exits import ExitCode
from titan.store.postgres.url import PostgresUrl
from titan.store.schema import NEWEST_SCHEMA, OLDEST_SCHEMA, Schema, judge, unfit
from titan.version import __version__

FILE = click.Path(dir_okay=False, path_type=Path)


def open_upkeep(config: Path | None) -> Upkeep:
    """Return what looks after the store that the settings name; nothing is opened yet."""
    place = load_settings(config).settings.database.place
    # Imported only now: drivers and alembic cost time, and --help needs none of them.
    if isinstance(place, PostgresUrl):
        from titan.cli.upkeep.postgres import PostgresUpkeep  # noqa: PLC0415

        return PostgresUpkeep(place)
    from titan.cli.upkeep.embedded import EmbeddedUpkeep  # noqa: PLC0415

    return EmbeddedUpkeep(place)


@click.group()
def command() -> None:
    """Look after the store: migrations, check, backup, restore.

    \b
    Example:
      titan db check
      titan db backup /var/backups/titan-$(date +%F).db
    """


command.add_command(cursors)


@command.command()
@config_option
@json_option
def current(config: Path | None, *, as_json: bool) -> None:
    """Show which schema the store has and what this version can serve.

    \b
    Example:
      titan db current --json | jq -r .revision
    """
    upkeep = open_upkeep(config)
    with store_errors():
        found = upkeep.current()
    if as_json:
        shown = {
            "kind": upkeep.kind,
            "store": upkeep.place,
            "revision": found.schema and found.schema.revision,
            "oldest_program": found.schema and found.schema.oldest_program,
            "identity": found.identity,
            "fit": judge(found.schema).value,
            "program": __version__,
            "newest_schema": NEWEST_SCHEMA,
            "oldest_schema": OLDEST_SCHEMA,
        }
        click.echo(json.dumps(shown, indent=2))
        return
    schema = f"schema {found.schema.revision} ({judge(found.schema).value})" if found.schema else "no schema yet"
    click.echo(f"{upkeep.place}: {schema}; titan {__version__} serves {OLDEST_SCHEMA} to {NEWEST_SCHEMA}")


@command.command()
@click.argument("revision", default="head")
@config_option
def upgrade(config: Path | None, revision: str) -> None:
    """Bring the store to the newest schema, or to REVISION.

    `titan serve` does this by itself for the embedded store, never for PostgreSQL. It may be done while servers run, if
    their version can serve the new schema: a step waits for locks for a fraction of a second and tries again. Several
    at once take turns, and the others find it done, so every pod may begin with it. A schema that a later version made
    is left alone.

    Exit codes: 0 done or nothing to do, 1 it failed, 2 usage or configuration, 4 only a later version can serve what
    is there.

    \b
    Example:
      titan db upgrade
    """
    upkeep = open_upkeep(config)
    with store_errors(), _migration_errors(revision):
        moved = upkeep.upgrade(revision)
        unservable = unfit(moved.after)
        if moved.before == moved.after and revision == "head" and unservable is not None:
            raise unservable
    _say_moved(upkeep, moved)


@command.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision")
@click.option("--delete-documents", is_flag=True, help="Go back to an empty database although there are documents.")
@config_option
def downgrade(config: Path | None, revision: str, *, delete_documents: bool) -> None:
    """Take the store back to REVISION, or by so many steps (-1), for an earlier version of titan.

    The embedded store's is refused while its server runs. PostgreSQL's is not: servers of the earlier version go on,
    one that cannot serve what is left ends with exit code 4.

    \b
    Example:
      titan db downgrade -1
    """
    upkeep = open_upkeep(config)
    with store_errors(), _migration_errors(revision):
        moved = upkeep.downgrade(revision, may_delete_documents=delete_documents)
    _say_moved(upkeep, moved)


@command.command()
@config_option
@json_option
def check(config: Path | None, *, as_json: bool) -> int:
    """Read the whole store and say what is wrong with it; may run beside servers.

    In PostgreSQL it reads every row and every file in one read-only transaction, during which vacuum removes nothing
    newer; damaged pages and indexes that reading does not meet are the business of PostgreSQL's own pg_amcheck.

    Exit codes: 0 all is well, 1 damaged or out of reach, 4 this version cannot serve the schema.

    \b
    Example:
      titan db check && systemctl start titan-aas
    """
    upkeep = open_upkeep(config)
    with store_errors():
        found = upkeep.check()
    unservable = unfit(found.schema)
    revision = found.schema and found.schema.revision
    if as_json:
        result = {
            "kind": upkeep.kind,
            "store": upkeep.place,
            "revision": revision,
            "servable": unservable is None,
            "reason": unservable and unservable.reason,
            "findings": found.findings,
            "not_checked": upkeep.not_checked,
        }
        click.echo(json.dumps(result, indent=2))
    else:
        for line in found.findings:
            click.echo(f"{upkeep.place}: {line}", err=True)
        if found.findings:
            click.echo(f"{upkeep.place} is damaged; {upkeep.remedy}", err=True)
        if unservable is not None:
            click.echo(f"{upkeep.place}: {unservable}", err=True)
        elif not found.findings:
            note = f" ({upkeep.not_checked})" if upkeep.not_checked else ""
            click.echo(f"{upkeep.place}: all is well, schema {revision}{note}")
    return ExitCode.FAILED if found.findings else ExitCode.SCHEMA if unservable is not None else ExitCode.DONE


@command.command()
@click.argument("file", type=FILE)
@config_option
@json_option
def backup(config: Path | None, file: Path, *, as_json: bool) -> None:
    """Copy the embedded store to a new FILE, consistent and on disk, while a server goes on writing.

    Uploaded files, where there are any, stand beside it in the folder FILE-blobs and belong to the backup. For
    PostgreSQL it says which of its tools to use, with the exact command.

    Files that documents name, such as thumbnails, are copied into the folder FILE-blobs; keep the two together.

    \b
    Example:
      titan db backup /var/backups/titan-$(date +%F).db
    """
    upkeep = open_upkeep(config)
    with store_errors(), _progress("backup") as progress:
        made = upkeep.back_up(file, progress)
    if as_json:
        shown = {"file": str(file), "bytes": made.size, "files": made.files, "revision": made.schema.revision}
        click.echo(json.dumps(shown, indent=2))
    else:
        files = f", {made.files} files in {file.name}-blobs" if made.files else ""
        click.echo(f"{file}: {made.size:,} bytes, schema {made.schema.revision}{files}, checked")


@command.command()
@click.argument("file", type=FILE)
@config_option
@json_option
def restore(config: Path | None, file: Path, *, as_json: bool) -> None:
    """Put the backup FILE (with FILE-blobs) in the place of the embedded store; what was written since is gone.

    Refused while a server runs. The file is checked first; then one rename makes it the store. Entity tags and
    cursors that clients still hold do not fit any more. For PostgreSQL it says which of its tools to use, with the
    exact commands.

    \b
    Example:
      systemctl stop titan-aas && titan db restore /var/backups/titan-2026-01-31.db && systemctl start titan-aas
    """
    upkeep = open_upkeep(config)
    with store_errors(), _progress("restore") as progress:
        schema = upkeep.restore(file, progress)
    if as_json:
        click.echo(json.dumps({"store": upkeep.place, "revision": schema.revision}, indent=2))
    else:
        click.echo(f"{upkeep.place}: restored from {file}, schema {schema.revision}")


def _say_moved(upkeep: Upkeep, moved: Moved) -> None:
    was, now = map(_name, (moved.before, moved.after))
    click.echo(f"{upkeep.place}: " + (f"schema {now}, nothing to do" if was == now else f"schema {was} -> {now}"))


def _name(schema: Schema | None) -> str:
    return schema.revision if schema else "nothing"


@contextmanager
def _migration_errors(revision: str) -> Iterator[None]:
    """Say in one line what kept a migration from being made."""
    from titan.store.migrations import runner  # noqa: PLC0415

    try:
        yield
    except runner.UnknownRevision as error:
        raise click.BadParameter(f"{revision}: {error}", param_hint="REVISION") from None
    except runner.NotMigrated as error:
        raise Refused(str(error)) from None


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal, nothing elsewhere."""
    stderr = sys.stderr
    with click.progressbar(length=1, label=label, file=stderr, hidden=not stderr.isatty()) as bar:

        def report(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield report
