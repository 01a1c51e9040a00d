"""`./dev chaos [SCENARIO…] [--rounds N] [--seed S]`: break a real installation again and again, and judge it each time.

Without names all scenarios are played, controls included. The table's columns: rounds played, writes acknowledged and
of these lost, the worst time until readiness said 503 and until it said 200 again, the slowest answer, how long the
machine itself made programs wait (which is allowed on top), violations. It ends with 1 if there was any violation;
what the programs logged is then kept in --keep. The seed decides every phase and length: the same seed plays the same
rounds.
"""

import argparse
import contextlib
import math
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.installation import Installation
from tests.chaos.rigs import missing
from tests.chaos.round import Report
from tests.chaos.scenarios import SCENARIOS

ROUND_WITHIN_S = 600
"""No round may take longer, whatever happens in it."""


@dataclass(slots=True)
class Row:
    """What a scenario came to."""

    name: str
    title: str
    reports: list[Report] = field(default_factory=list)
    skipped: str = ""
    broken: str = ""

    @property
    def violations(self) -> list[str]:
        """Everything that must not be."""
        found = [f"seed {report.seed}: {finding}" for report in self.reports for finding in report.findings]
        return [*found, self.broken] if self.broken else found


class _Overtime(AssertionError):
    """A round did not end."""


def main(arguments: Sequence[str]) -> int:
    """Play, print the table, return the exit code."""
    options = _options(arguments)
    print(f"seed {options.seed}, {options.rounds} rounds of each", flush=True)
    rows = [_scenario(name, options.rounds, options.seed, options.keep) for name in options.scenarios]
    print(_table(rows))
    for row in rows:
        for violation in row.violations:
            print(f"{row.name}: {violation}")
    bad = any(row.violations for row in rows)
    if bad:
        print(f"logs are in {options.keep}")
    return 1 if bad else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    names = ", ".join(SCENARIOS)
    parser = argparse.ArgumentParser(
        prog="./dev chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"any of: {names}")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of each scenario (3)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), metavar="S", help="default: any")
    parser.add_argument(
        "--keep", type=Path, default=Path("chaos-logs"), metavar="DIR", help="for logs of failed rounds"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {names}")
    options.scenarios = options.scenarios or list(SCENARIOS)
    return options


def _scenario(name: str, rounds: int, seed: int, kept: Path) -> Row:
    scenario = SCENARIOS[name]
    row = Row(name, scenario.title)
    if scenario.needs and (reason := missing(scenario.needs)):
        row.skipped = reason
        return row
    seeds = [random.Random(f"{seed}/{name}/{number}").randrange(1_000_000) for number in range(rounds)]
    folder = Path(tempfile.mkdtemp(prefix="titan-chaos-"))

    def keep(report: Report, here: Installation | None) -> None:
        row.reports.append(report)
        signal.alarm(ROUND_WITHIN_S)
        print(f"{time.strftime('%H:%M:%S')} {name}: {report.title}, {len(report.findings)} violations", flush=True)
        if report.findings and here is not None:
            _keep_logs(here, kept / f"{name}-{report.seed}", report)

    try:
        with _bounded():
            scenario.play(folder, seeds, keep)
    except Exception as error:  # noqa: BLE001  (told in the table; the other scenarios are played)
        row.broken = f"{type(error).__name__}: {error}"
        _keep_error(kept / name, error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return row


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Interrupt what takes longer than a round may; each finished round begins the time anew."""

    def ring(_number: int, _frame: object) -> None:
        raise _Overtime(f"a round took longer than {ROUND_WITHIN_S} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(ROUND_WITHIN_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _keep_logs(here: Installation, folder: Path, report: Report) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "findings.txt").write_text("\n".join(report.findings) + "\n")
    for log in here.folder.glob("*.log"):
        shutil.copy(log, folder)
    (folder / "postgres.log").write_text(here.postgres.log())


def _keep_error(folder: Path, error: Exception) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "error.txt").write_text("\n".join([repr(error), *getattr(error, "__notes__", ())]))


_HEADS = ("scenario", "rounds", "acknowledged", "lost", "to 503", "to ready", "slowest", "lag", "violations", "")


def _table(rows: Sequence[Row]) -> str:
    cells = [_HEADS, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def _cells(row: Row) -> tuple[str, ...]:
    if row.skipped:
        return (row.name, "0", *["-"] * 7, f"skipped: {row.skipped}")
    reports = row.reports
    return (
        row.name,
        str(len(reports)),
        f"{sum(report.acknowledged for report in reports):,}",
        str(sum(len(report.lost) for report in reports)),
        _seconds([report.unready_s for report in reports if report.unready_s is not None]),
        _seconds([report.ready_s for report in reports]),
        _seconds([report.slowest_s for report in reports]),
        _seconds([report.lag_s for report in reports]),
        str(len(row.violations)),
        row.title,
    )


def _seconds(times_s: Sequence[float]) -> str:
    worst_s = max(times_s, default=math.nan)
    return "-" if math.isnan(worst_s) else f"{worst_s:.2f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
