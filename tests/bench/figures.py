"""What a benchmark says: one figure per line, with what was asked of it; as a table, as JSON and for the README."""

import json
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must be: at least or at most `value`."""

    sign: str
    value: float

    def met(self, measured: float) -> bool:
        """Tell whether the unrounded figure keeps it."""
        return measured >= self.value if self.sign == "≥" else measured <= self.value


def at_least(value: float) -> Target:
    """More is better."""
    return Target("≥", value)


def at_most(value: float) -> Target:
    """Less is better."""
    return Target("≤", value)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `unit` follows the number ("s", "MB", "× Q"); `detail` holds the raw numbers behind it."""

    section: str
    name: str
    measured: float
    unit: str
    target: Target | None
    detail: str = ""

    @property
    def met(self) -> bool | None:
        """None where nothing was asked."""
        return None if self.target is None else self.target.met(self.measured)

    @property
    def verdict(self) -> str:
        """One word for people."""
        return {None: "-", True: "met", False: "MISSED"}[self.met]

    @property
    def shown(self) -> str:
        """The number with its unit."""
        return f"{number(self.measured)} {self.unit}"

    @property
    def asked(self) -> str:
        """The target with its unit."""
        if self.target is None:
            return "-"
        sign = f"{self.target.sign} " if self.target.value else ""  # less than nothing lost cannot be asked for
        return f"{sign}{number(self.target.value)} {self.unit}"


def number(value: float) -> str:
    """Three significant digits are more than a shared machine can tell apart."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    """Smallest, median and largest of a few rounds."""
    return f"min {number(min(values))}, median {number(statistics.median(values))}, max {number(max(values))}"


@dataclass(frozen=True, slots=True)
class Run:
    """What a section gets: a folder of its own, how often and how long to measure, and how to tell what it is doing."""

    folder: Path
    rounds: int
    seconds: int
    say: Callable[[str], None]
    closing: ExitStack
    """Servers and other things that live until the section ends."""


class Section(Protocol):
    """A module of this folder that measures."""

    def measure(self, run: Run) -> Iterable[Figure]:
        """Measure and return figures, one by one as they are known."""
        ...


class Unmeasurable(Exception):
    """A figure would mean nothing: requests failed, a program is missing. The message says which."""


def as_json(figures: Iterable[Figure]) -> str:
    """Return every figure with its target and verdict."""
    rows = [{**asdict(figure), "met": figure.met} for figure in figures]
    return json.dumps({"machine": machine(), "figures": rows}, indent=2, ensure_ascii=False) + "\n"


def machine() -> str:
    """Say what measured, without naming the host."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def markdown(figures: Iterable[Figure], command: str) -> str:
    """Return the table of the README."""
    lines = [
        f"Measured by `{command}` ({machine()}, shared with other work; ratios are of one run):",
        "",
        "| | asked | measured | | behind it |",
        "|---|---|---|---|---|",
        *(f"| {f.name} | {f.asked} | {f.shown} | {f.verdict} | {f.detail} |" for f in figures),
    ]
    return "\n".join(lines)


def rewrite_readme(readme: Path, table: str) -> None:
    """Put `table` between the markers; fail where there are none, so that no figure is lost unseen."""
    text = readme.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise Unmeasurable(f"{readme.name} has no {BEGIN} … {END}")
    readme.write_text(f"{head}{begin}\n{table}\n{end}{tail}")
