"""`titan tasks`: what the leader does beside serving, when it did so last, and asking it to do so now."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import trio

from titan.cli.options import config_option, json_option, load_settings
from titan.cli.transfer.stores import Place, StoreFailed, reading, store_errors, writing
from titan.exits import ExitCode
from titan.printable import printable
from titan.store.tasks import Outcome, TaskRecord
from titan.tasks.table import make_tasks
from titan.tasks.task import Task

LOOK_EVERY_S = 0.25
WIDTH_WITHOUT_TERMINAL = 160
COLOURS = {"succeeded": "green", "failed": "red", "running": "cyan", "asked for": "cyan"}


@click.group(invoke_without_command=True)
@json_option
@config_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, config: Path | None) -> None:
    """Show the leader's tasks and their runs; ask for one now.

    How often each runs, how its last run ended, when the next one is due. It reads the store itself, also beside
    running servers, whichever of them leads.

    \b
    Example:
      titan tasks
      titan tasks --json | jq -r '.[] | select(.outcome == "failed") | .task'
      titan tasks run blob-cleanup --wait 60
    """
    if ctx.invoked_subcommand is not None:
        return
    settings = load_settings(config).settings
    with store_errors():
        records = trio.run(_look, settings.database.place)
    rows = list(_rows(make_tasks(settings), records))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _draw(rows)


@command.command()
@click.argument("name")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), help="Wait up to so many seconds for the run's end.")
@config_option
def run(name: str, *, wait_s: float | None, config: Path | None) -> int:
    """Ask whoever leads to run the task NAME now; external-sync stands for the tasks of all its sources.

    The wish is kept in the store until a run that began after it has ended; a leader sees it within a second or two.

    Exit codes: 0 asked for (with --wait: the run ended well), 1 it did not, or the store cannot be used, 2 usage or
    configuration, 4 the schema of the store is not ready.

    \b
    Example:
      titan tasks run metrics-aggregation
      titan tasks run blob-cleanup --wait 60
    """
    settings = load_settings(config).settings
    known = [task.name for task in make_tasks(settings)]
    names = [task for task in known if name in (task, task.partition(":")[0])]
    if not names:
        raise click.BadParameter(f"there is no task {printable(name)}; there are {', '.join(known)}", param_hint="NAME")
    with store_errors():
        ended = trio.run(_run, settings.database.place, names, wait_s)
    if wait_s is None:
        click.echo(f"{', '.join(names)}: asked for; whoever leads runs it now")
        return ExitCode.DONE
    for record in ended:
        click.echo(f"{record.name}: {record.outcome}: {printable(record.detail)}")
    if missing := sorted({*names} - {record.name for record in ended}):
        raise StoreFailed(
            f"{', '.join(missing)}: no run ended within {wait_s:g} s; is a server running, and does one of them lead?"
        )
    return ExitCode.DONE if all(each.outcome is Outcome.SUCCEEDED for each in ended) else ExitCode.FAILED


async def _look(place: Place) -> Sequence[TaskRecord]:
    async with reading(place) as store:
        return await store.tasks.look()


async def _run(place: Place, names: Sequence[str], wait_s: float | None) -> Sequence[TaskRecord]:
    """Ask for runs; return those that ended while they were waited for."""
    async with writing(place) as store:
        asked_ms = await store.tasks.request(names)
        ended: list[TaskRecord] = []
        with trio.move_on_after(wait_s or 0):
            while True:
                ended = [each for each in await store.tasks.look() if each.name in names and _ended(each, asked_ms)]
                if len(ended) == len(names):
                    return ended
                await trio.sleep(LOOK_EVERY_S)
        return ended


def _ended(record: TaskRecord, asked_ms: int) -> bool:
    return not record.is_running and record.started_ms is not None and record.started_ms >= asked_ms


def _rows(known: Sequence[Task], records: Sequence[TaskRecord]) -> Iterator[dict[str, Any]]:
    """Yield what is shown of each task, the configured ones first."""
    found = {record.name: record for record in records}
    for task in known:
        yield {"task": task.name, "role": task.role, "every_s": task.every_s, **_state(found.pop(task.name, None))}
    for name, record in found.items():  # of before, or of servers with other settings
        yield {"task": name, "role": None, "every_s": None, **_state(record)}


def _state(record: TaskRecord | None) -> dict[str, Any]:
    if record is None:
        return {"state": "never run"}
    state = "running" if record.is_running else "asked for" if record.requested_ms else record.outcome or "never run"
    return {
        "state": str(state),
        "outcome": record.outcome,
        "detail": record.detail,
        "started": _time(record.started_ms),
        "ended": _time(record.ended_ms),
        "succeeded": _time(record.succeeded_ms),
        "due": _time(record.due_ms),
        "requested": _time(record.requested_ms),
        "failures": record.failures,
        "runs": record.runs,
    }


def _time(wall_ms: int | None) -> str | None:
    return None if wall_ms is None else datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _draw(rows: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415  (what draws is loaded by who draws)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("task", "state", "last run", "next", "every", "detail", box=None, pad_edge=False)
    now_s = time.time()
    for row in rows:
        state = row["state"]
        table.add_row(
            Text(printable(row["task"])),
            Text(state, COLOURS.get(state, "")),
            _ago(row.get("ended"), now_s),
            "now" if row.get("requested") else _ahead(row.get("due"), now_s),
            _span(row["every_s"]) if row["every_s"] else "",
            Text(printable(row.get("detail") or ""), overflow="fold"),
        )
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    console.print(table)


def _ago(moment: str | None, now_s: float) -> str:
    return "never" if moment is None else f"{_span(now_s - datetime.fromisoformat(moment).timestamp())} ago"


def _ahead(moment: str | None, now_s: float) -> str:
    left_s = 0.0 if moment is None else datetime.fromisoformat(moment).timestamp() - now_s
    return f"in {_span(left_s)}" if left_s > 0 else "now"


def _span(seconds: float) -> str:
    """Give a time span by its largest unit that fits."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
