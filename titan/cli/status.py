"""`titan status`: the supervision tree of a running server, drawn."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from titan.cli.client import Unreachable, get, timeout_option, url_option
from titan.cli.options import json_option
from titan.printable import printable

PATH = "/system/tree"

COLOURS = {
    "running": "green",
    "standby": "green",
    "starting": "cyan",
    "backoff": "yellow",
    "stopping": "yellow",
    "stuck": "red",
    "down": "red",
}

WIDTH_WITHOUT_TERMINAL = 160


@click.command()
@url_option
@timeout_option
@json_option
def command(url: str | None, timeout_s: float, *, as_json: bool) -> None:
    """Show the supervision tree of a running server: actor, state, since when, restarts, last error.

    \b
    Example:
      titan status
      titan status --url http://127.0.0.1:9090 --json
    """
    tree = _fetch(url, timeout_s)
    if as_json:
        click.echo(json.dumps(tree, indent=2))
    else:
        _draw(tree)


def _fetch(url: str | None, timeout_s: float) -> dict[str, Any]:
    status, body = get(url, PATH, timeout_s=timeout_s, admin=True)
    if status == 404:
        raise Unreachable(
            f"the server does not show {PATH} here: ask its admin port (TITAN_HTTP__ADMIN_PORT) with --url"
        )
    try:
        tree: dict[str, Any] = json.loads(body)
        list(_rows(tree, time.time()))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Unreachable(f"{PATH} answered {status}, but not with a supervision tree") from None
    return tree


def _draw(tree: Mapping[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415  (what draws is loaded by who draws)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("actor", "state", "for", "restarts", "last error", box=None, pad_edge=False)
    for name, state, age, restarts, error in _rows(tree, time.time()):
        # Text, not markup: an error may hold anything, square brackets included.
        table.add_row(Text(name), Text(state, COLOURS.get(state, "")), age, restarts, Text(error, overflow="fold"))
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    console.print(table)


def _rows(
    node: Mapping[str, Any], now: float, lead: str = "", lead_below: str = ""
) -> Iterator[tuple[str, str, str, str, str]]:
    error = printable(str(node["last_error"])) if node["last_error"] else ""
    age = _duration(now - float(node["since"]))
    yield f"{lead}{printable(node['name'])}", printable(node["state"]), age, str(int(node["restarts"])), error
    below = node["children"]
    for child in below:
        last = child is below[-1]
        yield from _rows(child, now, lead_below + ("└─ " if last else "├─ "), lead_below + ("   " if last else "│  "))


def _duration(seconds: float) -> str:
    """Give a time span by its two largest units."""
    rest = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or parts or unit == "s":
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
