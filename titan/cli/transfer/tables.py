"""The tables of a report. On a terminal as wide as that is; elsewhere every line whole, so that grep finds it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from titan.cli.transfer.rows import Row, Status
from titan.cli.transfer.words import shown

_UNBOUNDED = 100_000  # characters; wider than any line of ours


class Tables:
    """Prints tables of at most `limit` lines (None: no limit) and says how many there would be more."""

    def __init__(self, out: TextIO, limit: int | None) -> None:
        self._console = Console(
            file=out, highlight=False, markup=False, emoji=False, width=None if out.isatty() else _UNBOUNDED
        )
        self._limit = limit

    def line(self, text: str) -> None:
        """Print a line that is ours."""
        self._console.print(text)

    def files(self, files: Mapping[Path, Counter[Status]], total: Counter[Status]) -> None:
        """Say how many documents of each file became what."""
        table = Table("file", box=SIMPLE_HEAD, show_footer=len(files) > 1)
        table.columns[0].footer = f"{len(files)} files"
        for status in Status:
            table.add_column(status, str(total[status]), justify="right")
        for path, counts in list(files.items())[: self._limit]:
            table.add_row(_cell(str(path)), *(str(counts[status]) for status in Status))
        self._console.print(table)
        self._more(len(files))

    def documents(self, rows: Sequence[Row], total: int | None) -> None:
        """List documents with what became of them and why."""
        if not rows:
            return
        table = Table("status", "file", "document", "why", box=SIMPLE_HEAD)
        for row in rows:
            table.add_row(row.status, _cell(str(row.path)), _cell(name(row)), _cell(row.reason))
        self._console.print(table)
        self._more(total or len(rows))

    def reasons(self, reasons: Counter[tuple[Status, str]]) -> None:
        """Sum up what was passed over, by why."""
        if not reasons:
            return
        table = Table("status", "documents", "why", box=SIMPLE_HEAD)
        for (status, reason), count in reasons.items():
            table.add_row(status, str(count), _cell(reason))
        self._console.print(table)

    def violations(self, rows: Sequence[Row], total: int) -> None:
        """Name the documents that were taken although they break constraints, with the first violation of each."""
        if not rows:
            return
        table = Table("violates the metamodel", "file", "first violation", "all", box=SIMPLE_HEAD)
        for row in rows:
            found = row.violations if self._limit is None else row.violations[:1]
            for violation in found:
                table.add_row(_cell(name(row)), _cell(str(row.path)), _cell(str(violation)), str(len(row.violations)))
        self._console.print(table)
        self._more(total)

    def _more(self, total: int) -> None:
        if self._limit is not None and total > self._limit:
            self._console.print(f"  … and {total - self._limit} more (--verbose or --json list all)")


def name(row: Row) -> str:
    """Say which document is meant, by id or else by place."""
    if row.kind is None:
        return "(file)"
    return f"{row.kind} {row.id}" if row.id is not None else f"{row.kind} at byte {row.at}"


def _cell(text: str) -> Text:
    return Text(shown(text), overflow="fold")
