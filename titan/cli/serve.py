"""`titan serve`: the one file of titan/ that knows the processes."""

from pathlib import Path

import click

from titan.cli.options import config_option, load_settings


@click.command("serve")
@click.option("--host", metavar="ADDRESS", help="Address to listen on (http.host).")
@click.option("--port", type=int, metavar="PORT", help="Port to listen on; 0 takes any free one (http.port).")
@config_option
def command(host: str | None, port: int | None, config: Path | None) -> int:
    """Run the server until SIGTERM or Ctrl-C; the first drains, a second one ends it at once.

    \b
    Example:
      titan serve --port 8080
      TITAN_DATA_DIR=/var/lib/titan TITAN_LOG_FORMAT=json titan serve

    Exit codes: 0 stopped, 1 could not start, 2 configuration, 3 the supervisor gave up (start me again),
    4 the schema of the store is not ready.
    """
    given = {"http.host": host, "http.port": port}
    loaded = load_settings(config, {path: value for path, value in given.items() if value is not None})

    from supervisors.root import serve  # noqa: PLC0415  (only now: bad settings are told without loading the server)

    return serve(loaded)
