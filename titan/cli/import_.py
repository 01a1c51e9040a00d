"""`titan import`: take documents from JSON files and folders into the store, beside a running server or without one."""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click
import trio

from titan.cli.options import config_option, json_option, load_settings
from titan.cli.transfer.files import PATH, Found, find
from titan.cli.transfer.importer import Importer, Policy
from titan.cli.transfer.progress import progress
from titan.cli.transfer.report import JsonReport, Report, TableReport
from titan.cli.transfer.rows import Row, Status
from titan.cli.transfer.settling import Existing
from titan.cli.transfer.stores import Place, StoreFailed, store_errors, writing
from titan.exits import ExitCode

STOP_S: Final = 10.0
"""How long writes in flight may take to end after a signal; what has not ended then is reported as unknown."""


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="PATH...")
@click.option("--strict", "lenient", flag_value=False, help="Refuse documents that break a constraint.")
@click.option("--lenient", "lenient", flag_value=True, default=True, help="Take and report them (the default).")
@click.option("--replace", is_flag=True, help="Documents that exist with other content become the new one.")
@click.option("--skip-existing", is_flag=True, help="Documents that exist with other content stay as they are.")
@click.option("--verbose", "-v", is_flag=True, help="List every document and every violation.")
@json_option
@config_option
def command(
    paths: tuple[Path, ...],
    *,
    lenient: bool,
    replace: bool,
    skip_existing: bool,
    verbose: bool,
    as_json: bool,
    config: Path | None,
) -> int:
    r"""Take documents from files and folders into the store.

    A JSON file holds an Environment or one shell, submodel or concept description. Folders are searched with all below
    them. New documents are taken, those with the same content are skipped, so a second import changes nothing. One
    that exists with other content is refused unless --replace or --skip-existing is given. Of an id that a file
    gives twice the first counts. Malformed documents are refused always.

    It works on the store itself, also beside a running server, which notices.

    \b
    Example:
      titan import machine.json spare-parts/
      titan import --replace --json line-7/ > report.json

    Exit codes: 0 everything is in, 1 something was refused or it stopped before the end, 2 usage or configuration,
    4 the schema of the store is not ready.
    """
    if replace and skip_existing:
        raise click.UsageError("--replace and --skip-existing exclude each other")
    existing = Existing.REPLACE if replace else Existing.SKIP if skip_existing else Existing.REFUSE
    settings = load_settings(config).settings
    found = list(find(paths))
    report: Report
    if as_json:
        report = JsonReport(sys.stdout)
    else:
        report = TableReport(sys.stdout, [file.path for file in found], verbose=verbose)
    try:
        with store_errors(), progress(found) as advance:
            stopped = trio.run(_import, settings.database.place, Policy(lenient, existing), found, report.add, advance)
    except StoreFailed as error:
        report.close(error.message)
        raise
    report.close(stopped)
    return ExitCode.FAILED if report.counts[Status.REFUSED] or stopped is not None else ExitCode.DONE


async def _import(
    place: Place,
    policy: Policy,
    found: Sequence[Found],
    record: Callable[[Row], None],
    advance: Callable[[int], None],
) -> str | None:
    async with writing(place) as store, trio.open_nursery() as nursery:
        importer = Importer(store, policy, record)
        nursery.start_soon(_stop_on_signal, importer, nursery.cancel_scope)
        await importer.run(found, advance)
        nursery.cancel_scope.cancel()
    return importer.stopped


async def _stop_on_signal(importer: Importer, everything: trio.CancelScope) -> None:
    """End cleanly on the first signal: what was begun is settled and reported. End at once on the second."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            if importer.stopped is not None:
                everything.cancel()
            everything.deadline = trio.current_time() + STOP_S
            importer.stop(f"by {signal.Signals(number).name}")
