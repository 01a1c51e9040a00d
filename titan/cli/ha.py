"""`titan ha`: the operator's checklist, answered by looking."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from titan.cli import client
from titan.cli.options import config_option, json_option, load_settings
from titan.exits import ExitCode
from titan.printable import printable

if TYPE_CHECKING:
    from titan.ha.evidence import Unknown
    from titan.ha.verdict import Item

COLOURS = {"pass": "green", "fail": "red", "cannot tell": "yellow"}


class Url(click.ParamType[str]):
    """An http(s) URL without a login, which would be shown with what is said of it."""

    name = "URL"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Give the URL without a slash at its end."""
        if client.taken_apart(value) is None or "@" in value or "?" in value or "#" in value:
            self.fail("must be http://HOST:PORT/PATH or https://…, without a login or a query in it", param, ctx)
        return value.rstrip("/")


@click.group()
def command() -> None:
    """Answer the checklist of the operator's guide.

    \b
    Example:
      titan ha check
    """


@command.command()
@click.option("--url", "urls", type=Url(), multiple=True, help="An instance; once for each. Default: ask the database.")
@click.option("--balancer", type=Url(), help="Where clients find the balancer.")
@click.option("--prometheus", type=Url(), help="Where Prometheus is.")
@click.option("--namespace", metavar="NAME", help="Namespace for kubectl; default: the one of its context.")
@click.option("--max-replicas", type=click.IntRange(1, 10_000), help="Most instances; default: the autoscaler's.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 300),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each of those who are asked may take.",
)
@config_option
@json_option
def check(
    *,
    urls: tuple[str, ...],
    balancer: str | None,
    prometheus: str | None,
    namespace: str | None,
    max_replicas: int | None,
    timeout_s: float,
    config: Path | None,
    as_json: bool,
) -> int:
    """Look at the running installation and answer each item of the checklist: pass, fail or cannot tell.

    Asks what the settings name (PostgreSQL, Redis), kubectl where there is one, and the URLs that are given; changes
    nothing. What cannot be reached is no failure of an item: it cannot be told then, with the reason.

    Exit codes: 0 every item passes or cannot be told, 1 one fails, 2 usage or configuration.

    \b
    Example:
      titan ha check --balancer https://twins.example.com --prometheus http://prometheus:9090
    """
    from titan.ha.gather import Places, gather  # noqa: PLC0415  (--help needs no drivers)
    from titan.ha.items import answers  # noqa: PLC0415

    settings = load_settings(config).settings
    places = Places(urls, balancer, prometheus, namespace, max_replicas)
    items = answers(trio.run(partial(gather, settings, places, partial(_fetch, timeout_s), within_s=timeout_s)))
    failed = [item for item in items if item.answer.verdict == "fail"]
    if as_json:
        click.echo(json.dumps({"failed": len(failed), "items": list(map(_as_json, items))}, indent=2))
    else:
        _draw(items)
    return ExitCode.FAILED if failed else ExitCode.DONE


def _fetch(timeout_s: float, url: str, path: str) -> "tuple[int, bytes] | Unknown":
    from titan.ha.evidence import Unknown  # noqa: PLC0415

    try:
        return client.get(url, path, timeout_s=timeout_s, with_token=False)  # none of it asks for one
    except client.Unreachable as error:
        return Unknown(error.message)


def _as_json(item: "Item") -> dict[str, str]:
    return {
        "name": item.name,
        "item": item.asked,
        "verdict": item.answer.verdict.value,
        "reason": item.answer.reason,
        "to_do": item.answer.to_do,
    }


def _draw(items: "Sequence[Item]") -> None:
    for item in items:
        verdict = item.answer.verdict.value
        click.echo(f"{click.style(f'{verdict:11}', COLOURS[verdict])}  {item.asked}")
        click.echo(f"{'':13}{printable(item.answer.reason)}")
        if item.answer.to_do:
            click.echo(f"{'':13}to do: {printable(item.answer.to_do)}")
