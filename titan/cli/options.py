"""Options that several commands share, and how they get their settings."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from titan.exits import ExitCode

if TYPE_CHECKING:
    from titan.settings_load import Loaded

config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Settings as TOML, same names as config/titan.toml; the environment goes first.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class BadSettings(click.ClickException):
    """Settings that cannot be used: one line for each problem, exit code 2."""

    exit_code = ExitCode.USAGE

    def show(self, file: object = None) -> None:  # noqa: ARG002
        """Print the problems to standard error."""
        for line in self.message.splitlines():
            click.echo(f"titan: {line}", err=True)


def load_settings(config: Path | None, arguments: Mapping[str, object] | None = None) -> "Loaded":
    """Load the settings of this process; `arguments` are command-line options by path (`http.port`).

    Raises `BadSettings`, which ends the command with exit code 2.
    """
    from titan.settings_load import SettingsError, load  # noqa: PLC0415  (the models cost 0.1 s; --help needs none)

    try:
        return load(os.environ, config=config, arguments=arguments)
    except SettingsError as error:
        raise BadSettings(str(error)) from None
