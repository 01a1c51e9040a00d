"""`titan check-health`: exit code 0 or 1 for the health checks of containers and systemd."""

import json

import click

from titan.cli.client import get, timeout_option, url_option
from titan.cli.options import json_option
from titan.exits import ExitCode
from titan.printable import printable


@click.command()
@click.argument("what", type=click.Choice(["live", "ready"]), metavar="live|ready")
@url_option
@timeout_option
@json_option
def command(what: str, url: str | None, timeout_s: float, *, as_json: bool) -> int:
    """Ask a running server whether it lives or is ready.

    For health checks. live: its event loop runs. ready: it can serve what it is for. Exit code 0 if so, else 1.

    \b
    Example:
      titan check-health live
      titan check-health ready --url https://titan-1:8080
    """
    status, body = get(url, f"/health/{what}", timeout_s=timeout_s)
    if as_json:
        click.echo(body.decode("utf-8", "replace"))
    else:
        click.echo(_in_words(status, body))
    return ExitCode.DONE if status == 200 else ExitCode.FAILED


def _in_words(status: int, body: bytes) -> str:
    try:
        answer = json.loads(body)
        said = str(answer["status"])
        checks = answer.get("checks", {}).items()
        troubled = [f"{name} {check['status']}: {check['detail']}" for name, check in checks if check["status"] != "up"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return f"answered {status}, but not like this server"
    return printable("; ".join([said, *troubled]))
