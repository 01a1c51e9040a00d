"""`titan export`: write documents of the store to one Environment file, beside a running server or without one."""

import errno
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import click
import trio

from titan.cli.options import config_option, load_settings
from titan.cli.transfer.report import counted, shown
from titan.cli.transfer.stores import reading, store_errors
from titan.cli.transfer.target import Occupied, check_target, whole_file
from titan.exits import ExitCode
from titan.model.environment import SECTIONS, join
from titan.store.contract import Kind, Store

STDOUT: Final = Path("-")
_LATER: Final = ("xml", "aasx")

Key = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Failed:
    """Why an export came to nothing."""

    reason: str


@click.command("export")
@click.argument("out", type=click.Path(path_type=Path, allow_dash=True), metavar="OUT")
@click.option("--id", "ids", multiple=True, metavar="ID", help="Only this identifiable; may be repeated.")
@click.option("--format", "file_format", type=click.Choice(["json", *_LATER]), help="Default: by the ending of OUT.")
@click.option("--force", is_flag=True, help="Overwrite OUT.")
@config_option
def command(out: Path, *, ids: tuple[str, ...], file_format: str | None, force: bool, config: Path | None) -> int:
    r"""Write documents of the store to files.

    All of them, or those with the given ids alone, become one Environment. OUT is a file, which appears whole or not
    at all, or - for standard output. Each document has the content that it was stored with. What others write
    meanwhile may be in it or not.

    \b
    Example:
      titan export backup.json
      titan export - --id https://example.com/pumps/aas/P-101

    Exit codes: 0 done, 1 it failed or an id is unknown, 2 usage or configuration, 4 the schema is not ready.
    """
    ending = out.suffix.lower().removeprefix(".")
    file_format = file_format or (ending if ending in _LATER else "json")
    if file_format in _LATER:
        raise click.UsageError(f"{file_format} comes in a later version; this one writes json")
    database = load_settings(config).settings.database.sqlite_path
    wanted = tuple(dict.fromkeys(ids))
    try:
        with _opened(out, force=force) as file, store_errors():
            outcome = trio.run(_export, database, file, wanted)
            if isinstance(outcome, Failed):
                raise click.ClickException(outcome.reason)
    except Occupied as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # the reader of standard output has gone; the program as a whole deals with that
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from None
    click.echo(f"{counted(outcome, 'document')} exported", err=True)
    return ExitCode.DONE


def _opened(out: Path, *, force: bool) -> AbstractContextManager[BinaryIO]:
    if out == STDOUT:
        return nullcontext(sys.stdout.buffer)
    return whole_file(check_target(out, overwrite=force), overwrite=force)


async def _export(database: Path, file: BinaryIO, ids: Sequence[str]) -> int | Failed:
    """Write the documents; return how many, or why what was written so far is worth nothing."""
    outcome: int | Failed = Failed("interrupted")
    async with reading(database) as store, trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_on_signal, nursery.cancel_scope)
        outcome = await _write(store, file, ids)
        nursery.cancel_scope.cancel()
    return outcome


async def _write(store: Store, file: BinaryIO, ids: Sequence[str]) -> int | Failed:
    keys = [(kind, one) for kind in SECTIONS.values() for one in ids if await store.get(kind, one) is not None]
    missing = [one for one in ids if one not in {document_id for _, document_id in keys}]
    if missing:
        return Failed("\n".join(f"there is no document with the id {shown(one)}" for one in missing))
    count = 0

    async def counted() -> AsyncGenerator[tuple[Kind, bytes], None]:
        nonlocal count
        async with aclosing(_chosen(store, keys) if ids else _all(store)) as documents:
            async for document in documents:
                count += 1
                yield document

    async with aclosing(counted()) as documents, aclosing(join(documents)) as parts:
        async for part in parts:
            file.write(part)
    return count


async def _all(store: Store) -> AsyncGenerator[tuple[Kind, bytes], None]:
    for kind in SECTIONS.values():
        async for stored in store.export(kind):
            yield kind, stored.body


async def _chosen(store: Store, keys: Sequence[Key]) -> AsyncGenerator[tuple[Kind, bytes], None]:
    for kind, document_id in keys:
        stored = await store.get(kind, document_id, with_blobs=True)
        if stored is not None:  # deleted a moment ago: as if the export had begun later
            yield kind, stored.body


async def _cancel_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
