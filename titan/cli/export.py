"""`titan export`: write documents of the store to one Environment file, beside a running server or without one."""

import errno
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import click
import trio

from titan.cli.options import config_option, load_settings
from titan.cli.transfer.stores import Place, reading, store_errors
from titan.cli.transfer.target import check_target, whole_file
from titan.cli.transfer.words import counted, shown
from titan.exits import ExitCode
from titan.model.environment import SECTIONS, join
from titan.store.contract import Kind, Store

STDOUT: Final = Path("-")
_LATER: Final = ("xml", "aasx")

Key = tuple[Kind, str]


class Failed(click.ClickException):
    """The export came to nothing: exit code 1."""


@click.command("export")
@click.argument("out", type=click.Path(path_type=Path, allow_dash=True), metavar="OUT")
@click.option("--id", "ids", multiple=True, metavar="ID", help="Only this identifiable; may be repeated.")
@click.option("--format", "file_format", type=click.Choice(["json", *_LATER]), help="Default: by the ending of OUT.")
@click.option("--force", is_flag=True, help="Overwrite OUT.")
@config_option
def command(out: Path, *, ids: tuple[str, ...], file_format: str | None, force: bool, config: Path | None) -> int:
    r"""Write documents of the store to files.

    All of them, or those with the given ids alone, become one Environment. OUT is a file, which appears whole or not
    at all, or - for standard output. Each document has the content that it was stored with; an Environment has
    nothing else worth keeping: the order of documents and empty sections of an imported file are not kept. What
    others write meanwhile may be in it or not.

    JSON carries no files: a thumbnail that was uploaded goes as the path that names it, which works again in the store
    that has the file (`titan db backup` takes files along).

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
    place = load_settings(config).settings.database.place
    wanted = tuple(dict.fromkeys(ids))
    try:
        with store_errors():
            if out == STDOUT:
                count = trio.run(_to_stdout, place, wanted)
            else:
                count = trio.run(partial(_to_file, place, check_target(out, overwrite=force), wanted, force=force))
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # the reader of standard output has gone; the program as a whole deals with that
        raise Failed(f"cannot write {out}: {error.strerror}") from None
    click.echo(f"{counted(count, 'document')} exported", err=True)
    return ExitCode.DONE


async def _to_stdout(place: Place, ids: Sequence[str]) -> int:
    # Signals do what they do by default: they must end us also while a reader that does not read holds us in a write,
    # where trio's own handler of SIGINT, if it comes a moment before, would wait for a checkpoint that never comes.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    async with reading(place) as store:
        return await _write(store, sys.stdout.buffer, ids)


async def _to_file(place: Place, target: Path, ids: Sequence[str], *, force: bool) -> int:
    # From before there is a file to be cleaned away, a signal cancels instead of ending the process.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with reading(place) as store, trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_signal, signals, nursery.cancel_scope)
            with whole_file(target, overwrite=force) as file:
                count = await _write(store, file, ids)
            nursery.cancel_scope.cancel()
            return count
    raise Failed("interrupted")


async def _write(store: Store, file: BinaryIO, ids: Sequence[str]) -> int:
    """Write the documents and return how many; raise `Failed` before the first where an id is unknown."""
    keys = [(kind, one) for kind in SECTIONS.values() for one in ids if await store.get(kind, one) is not None]
    missing = [one for one in ids if one not in {document_id for _, document_id in keys}]
    if missing:
        raise Failed("\n".join(f"there is no document with the id {shown(one)}" for one in missing))
    count = 0

    async def chosen() -> AsyncGenerator[tuple[Kind, bytes], None]:
        nonlocal count
        async with aclosing(_chosen(store, keys) if ids else _all(store)) as documents:
            async for document in documents:
                count += 1
                yield document

    async with aclosing(chosen()) as documents, aclosing(join(documents)) as parts:
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


async def _cancel_on_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
