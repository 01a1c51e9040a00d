"""`titan db`: look after the store. What PostgreSQL does with tools of its own is said when it comes."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from titan.cli.options import config_option, embedded_store, json_option, load_settings
from titan.cli.transfer.stores import store_errors
from titan.store.schema import NEWEST_SCHEMA, OLDEST_SCHEMA, Schema, judge, unfit, version_key
from titan.version import __version__

FAILED, SCHEMA_NOT_READY = 1, 4

FILE = click.Path(dir_okay=False, path_type=Path)


class Refused(click.ClickException):
    """It was not done, for a reason that the operator can change: exit code 1."""


@click.group()
def command() -> None:
    """Look after the store: migrations, check, backup, restore.

    \b
    Example:
      titan db check
      titan db backup /var/backups/titan-$(date +%F).db
    """


@command.command()
@config_option
@json_option
def current(config: Path | None, *, as_json: bool) -> None:
    """Show which schema the store has and what this version can serve.

    \b
    Example:
      titan db current --json | jq -r .revision
    """
    from titan.store.sqlite.prepare import identity, look  # noqa: PLC0415

    path = embedded_store(load_settings(config).settings)
    with store_errors():
        found = look(path)
        shown = {
            "store": str(path),
            "revision": found and found.revision,
            "oldest_program": found and found.oldest_program,
            "identity": found and identity(path),
            "fit": judge(found).value,
            "program": __version__,
            "newest_schema": NEWEST_SCHEMA,
            "oldest_schema": OLDEST_SCHEMA,
        }
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    revision = "no schema yet" if found is None else f"schema {found.revision} ({judge(found).value})"
    click.echo(f"{path}: {revision}; titan {__version__} serves {OLDEST_SCHEMA} to {NEWEST_SCHEMA}")


@command.command()
@click.argument("revision", default="head")
@config_option
def upgrade(config: Path | None, revision: str) -> None:
    """Bring the store to the newest schema, or to REVISION.

    `titan serve` does this by itself for the embedded store. It may be done while a server runs, if that server's
    version can serve the new schema.

    \b
    Example:
      titan db upgrade
    """
    from titan.store.migrations import runner  # noqa: PLC0415
    from titan.store.sqlite.lock import server_version  # noqa: PLC0415
    from titan.store.sqlite.prepare import look, make_folder  # noqa: PLC0415

    path = embedded_store(load_settings(config).settings)
    with store_errors():
        make_folder(path.parent)
        before = look(path)
        serving = server_version(path)
        needed = runner.chain()[-1].module.oldest_program
        if serving is not None and judge(before) != "current" and version_key(serving) < version_key(needed):
            raise Refused(f"the running server is titan {serving}, the new schema needs {needed}: stop it first")
        with _migration_errors(revision):
            runner.upgrade(path, revision)
        _say_moved(path, before, look(path))


@command.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision")
@click.option("--delete-documents", is_flag=True, help="Go back to an empty database although there are documents.")
@config_option
def downgrade(config: Path | None, revision: str, *, delete_documents: bool) -> None:
    """Take the store back to REVISION, or by so many steps (-1), for an earlier version of titan.

    Refused while a server runs.

    \b
    Example:
      titan db downgrade -1
    """
    from titan.store.migrations import runner  # noqa: PLC0415
    from titan.store.sqlite.lock import AlreadyServed, serve_lock  # noqa: PLC0415
    from titan.store.sqlite.prepare import look  # noqa: PLC0415

    path = embedded_store(load_settings(config).settings)
    with store_errors():
        before = look(path)
        if before is None:
            raise Refused(f"{path}: there is no schema to go back from")
        try:
            with serve_lock(path), _migration_errors(revision):
                runner.downgrade(path, revision, may_delete_documents=delete_documents)
        except AlreadyServed as error:
            raise Refused(f"{error}; stop it first") from None
        _say_moved(path, before, look(path))


@command.command()
@config_option
@json_option
def check(config: Path | None, *, as_json: bool) -> int:
    """Read the whole store and say what is wrong with it; may run beside a server.

    Exit codes: 0 all is well, 1 damaged, 4 this version cannot serve the schema.

    \b
    Example:
      titan db check && systemctl start titan
    """
    from titan.store.sqlite.check import findings  # noqa: PLC0415
    from titan.store.sqlite.prepare import look  # noqa: PLC0415

    path = embedded_store(load_settings(config).settings)
    with store_errors():
        found = look(path)
        wrong = [] if found is None else list(findings(path))
        unservable = unfit(found)
    if as_json:
        result = {
            "store": str(path),
            "revision": found and found.revision,
            "servable": unservable is None,
            "reason": unservable and unservable.reason,
            "findings": wrong,
        }
        click.echo(json.dumps(result, indent=2))
    else:
        for line in wrong:
            click.echo(f"{path}: {line}", err=True)
        if wrong:
            click.echo(f"{path} is damaged; restore a backup with `titan db restore FILE`", err=True)
        if unservable is not None:
            click.echo(f"{path}: {unservable}", err=True)
        elif not wrong:
            click.echo(f"{path}: all is well, schema {found and found.revision}")
    return FAILED if wrong else SCHEMA_NOT_READY if unservable is not None else 0


@command.command()
@click.argument("file", type=FILE)
@config_option
@json_option
def backup(config: Path | None, file: Path, *, as_json: bool) -> None:
    """Copy the store to a new FILE, consistent and on disk, while a server goes on writing.

    \b
    Example:
      titan db backup /var/backups/titan-$(date +%F).db
    """
    from titan.store.sqlite.backup import BackupFailed, back_up  # noqa: PLC0415
    from titan.store.sqlite.prepare import look  # noqa: PLC0415

    path = embedded_store(load_settings(config).settings)
    with store_errors():
        found = look(path)
        if found is None:
            raise Refused(f"there is no store at {path}")
        try:
            with _progress("backup") as progress:
                size = back_up(path, file, progress)
        except BackupFailed as error:
            raise Refused(str(error)) from None
    if as_json:
        click.echo(json.dumps({"file": str(file), "bytes": size, "revision": found.revision}, indent=2))
    else:
        click.echo(f"{file}: {size:,} bytes, schema {found.revision}, checked")


@command.command()
@click.argument("file", type=FILE)
@config_option
@json_option
def restore(config: Path | None, file: Path, *, as_json: bool) -> None:
    """Put the backup FILE in the place of the store; everything written since is gone.

    Refused while a server runs. The file is checked first; then one rename makes it the store. Entity tags and
    cursors that clients still hold do not fit any more.

    \b
    Example:
      systemctl stop titan && titan db restore /var/backups/titan-2026-01-31.db && systemctl start titan
    """
    from titan.store.sqlite.lock import AlreadyServed  # noqa: PLC0415
    from titan.store.sqlite.restore import RestoreRefused  # noqa: PLC0415
    from titan.store.sqlite.restore import restore as put_back  # noqa: PLC0415

    path = embedded_store(load_settings(config).settings)
    with store_errors():
        try:
            with _progress("restore") as progress:
                found = put_back(file, path, progress)
        except AlreadyServed as error:
            raise Refused(f"{error}; stop it first") from None
        except RestoreRefused as error:
            raise Refused(str(error)) from None
    if as_json:
        click.echo(json.dumps({"store": str(path), "revision": found.revision}, indent=2))
    else:
        click.echo(f"{path}: restored from {file}, schema {found.revision}")


def _say_moved(path: Path, before: Schema | None, after: Schema | None) -> None:
    was, now = (schema.revision if schema else "nothing" for schema in (before, after))
    click.echo(f"{path}: " + (f"schema {now}, nothing to do" if was == now else f"schema {was} -> {now}"))


@contextmanager
def _migration_errors(revision: str) -> Iterator[None]:
    """Say in one line what kept a migration from being made; the database is as it was."""
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
