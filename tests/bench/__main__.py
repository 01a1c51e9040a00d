"""`./dev bench [SECTION…]`: measure, print a table, say what was met. Exit code 1 when a target was missed.

Every ratio is of one run: what is compared takes turns (A B A B), each turn gives one ratio, the figure is their
median. So a machine that is busy with other things slows both sides and moves the ratio little.
"""

import importlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import click
from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench import figures, profile
from tests.bench.figures import Figure, Run, Section, Unmeasurable

SECTIONS: Mapping[str, str] = {
    "start": "time from exec to the first answer",
    "memory": "memory after 1,000 documents",
    "http": "GET and POST against the yardstick Q",
    "pages": "the 1,000th page against the first",
    "import": "documents a second by `titan import`",
    "fsync": "GET while every fsync takes 50 ms",
    "drain": "requests lost over rolling restarts behind nginx",
    "postgres": "one instance over PostgreSQL against Q, pgbench and nginx",
    "rate": "what the rate limit costs a GET",
    "caches": "reads from memory and from Redis, writes seen elsewhere, a frozen Redis",
    "events": "writes told to clients of another instance, how many, what waiting clients take",
    "binary": "size and start of the single executable",
    "leader": "what standing for a role and a fence cost",
    "telemetry": "what counting and telling a request costs; how fast commands start",
    "kernel": "what supervision costs against a bare nursery",
}
README = Path(__file__).parents[2] / "README.md"
error_output = Console(stderr=True, highlight=False)


def module(section: str) -> Section:
    """Import the module of a section."""
    return cast(Section, importlib.import_module("tests.bench." + {"import": "imports"}.get(section, section)))


def measure(section: str, rounds: int, seconds: int) -> Iterator[Figure]:
    """Run one section in a folder of its own; its servers have ended when the last figure is out."""

    def say(text: str) -> None:
        error_output.print(f"{section}: {text}", style="dim")

    with tempfile.TemporaryDirectory(prefix="titan-bench-") as folder, ExitStack() as closing:
        yield from module(section).measure(Run(Path(folder), rounds, seconds, say, closing))


def print_table(measured: Sequence[Figure]) -> None:
    """Print the figures for people."""
    table = Table(title=f"{figures.machine()}; ratios are of one run", title_justify="left", box=box.SIMPLE)
    for column in ("section", "figure", "asked", "measured", "", "behind it"):
        table.add_column(column, justify="right" if column in {"asked", "measured"} else "left")
    for figure in measured:
        style = "bold red" if figure.met is False else ""
        row = (figure.section, figure.name, figure.asked, figure.shown, figure.verdict, figure.detail)
        table.add_row(*row, style=style)
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)


@click.command(help=__doc__.partition("\n")[0] + "\n\nSections: " + ", ".join(SECTIONS))
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)), metavar="[SECTION]...")
@click.option("--rounds", default=7, show_default=True, help="Turns of each comparison.")
@click.option("--seconds", default=2, show_default=True, help="Length of each turn under load.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures there too.")
@click.option("--readme", is_flag=True, help="Rewrite the table of README.md (all sections).")
@click.option("--profile", "profiled", type=click.Choice(list(profile.PROFILES)), help="Show what binds it, by py-spy.")
def main(
    *, sections: Sequence[str], rounds: int, seconds: int, json_file: Path | None, readme: bool, profiled: str | None
) -> None:
    """Measure what was asked for."""
    if profiled:
        profile.show(profiled, seconds=max(seconds, 5))
        return
    if readme and sections:
        raise click.UsageError("--readme shows all sections; name none")
    measured: list[Figure] = []
    for section in sections or SECTIONS:
        error_output.print(f"{section}: {SECTIONS[section]}")
        measured += measure(section, rounds, seconds)
    print_table(measured)
    if json_file:
        json_file.write_text(figures.as_json(measured))
    if readme:
        figures.rewrite_readme(README, figures.markdown(measured, "./dev bench --readme"))
    sys.exit(1 if any(figure.met is False for figure in measured) else 0)


if __name__ == "__main__":
    try:
        main()
    except Unmeasurable as reason:
        error_output.print(f"bench: {reason}", style="red")
        sys.exit(2)
