"""`titan config`: are the settings usable, and which ones are in force."""

import json
from pathlib import Path

import click

from titan.cli.options import config_option, json_option, load_settings


@click.group()
def command() -> None:
    """Check and show the settings.

    \b
    Example:
      titan config check --config /etc/titan/titan.toml
      TITAN_PORT=9000 titan config show
    """


@command.command()
@config_option
def check(config: Path | None) -> None:
    """Check all settings; exit code 2 with one line for each problem.

    \b
    Example:
      titan config check --config /etc/titan/titan.toml
    """
    for warning in load_settings(config).warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo("settings are usable")


@command.command()
@config_option
@json_option
def show(config: Path | None, *, as_json: bool) -> None:
    """Show every setting with its value and where it comes from; secrets are masked.

    \b
    Example:
      titan config show --json | jq '.[] | select(.source != "default")'
    """
    from titan.settings import all_settings  # noqa: PLC0415
    from titan.settings_text import shown  # noqa: PLC0415

    loaded = load_settings(config)
    rows = [
        {
            "setting": setting.path,
            "variable": setting.variable,
            "value": shown(setting, setting.of(loaded.settings)),
            "source": loaded.origin(setting),
        }
        for setting in all_settings()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['setting']:<30} {row['value'] or '(unset)':<28} {row['source']}")
