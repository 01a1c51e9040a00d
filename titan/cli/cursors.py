"""`titan db cursors`: who holds up the trim of the outbox, and giving that up."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import trio

from titan.cli.options import config_option, json_option, load_settings
from titan.cli.transfer.stores import Place, StoreFailed, reading, store_errors, writing
from titan.printable import printable
from titan.store.cursors import CURSOR_KEPT_S, DurableCursor


@click.command()
@click.option("--drop", "dropped", metavar="NAME", help="Forget this one: its owner will miss what is trimmed then.")
@config_option
@json_option
def cursors(config: Path | None, *, dropped: str | None, as_json: bool) -> None:
    """Show the durable cursors in the outbox, which keep what is behind them from being trimmed; drop one.

    One that its owner has not kept anew for a week is dropped by the leader. A living owner keeps it again: stop that
    first. It reads the store itself, also beside running servers.

    Exit codes: 0 done, 1 there is no such cursor or the store cannot be used, 2 usage or configuration, 4 the schema
    of the store is not ready.

    \b
    Example:
      titan db cursors
      titan db cursors --drop event-publisher
    """
    place = load_settings(config).settings.database.place
    with store_errors():
        found = trio.run(_look, place) if dropped is None else trio.run(_drop, place, dropped)
    if as_json:
        rows = [{"name": each.name, "cursor": each.cursor, "kept": _time(each.kept_ms)} for each in found]
        click.echo(json.dumps(rows, indent=2))
        return
    if dropped is not None:
        click.echo(f"{printable(dropped)}: dropped")
    for each in found:
        left_s = each.kept_ms / 1000 + CURSOR_KEPT_S - time.time()
        click.echo(f"{printable(each.name)}: kept {_time(each.kept_ms)}, for {max(left_s, 0) / 3600:.0f} h more")
    if not found:
        click.echo("no durable cursor: the outbox is trimmed by age alone")


async def _look(place: Place) -> Sequence[DurableCursor]:
    async with reading(place) as store:
        return await store.cursors.look()


async def _drop(place: Place, name: str) -> Sequence[DurableCursor]:
    """Drop one; return those that are left."""
    async with writing(place) as store:
        if not await store.cursors.drop(name):
            raise StoreFailed(f"there is no durable cursor {printable(name)}")
        return await store.cursors.look()


def _time(wall_ms: int) -> str:
    return datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="seconds")
