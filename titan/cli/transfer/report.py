"""What an import or a validation found, for people (tables) and for programs (one JSON object).

File names, ids and messages come from outside: whatever a terminal would obey is shown escaped.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

from titan.cli.transfer.rows import Row, Status
from titan.cli.transfer.words import named, shown

MAX_LISTED: Final = 100
"""Lines of one table; what is beyond is counted. `--json` and `--verbose` list everything."""


def as_jsonable(row: Row) -> dict[str, Any]:
    """Return a row as `--json` prints it."""
    return {
        "file": named(row.path),
        "kind": row.kind,
        "id": row.id,
        "offset": row.at,
        "status": row.status,
        "reason": row.reason,
        "violations": [{"path": violation.path, "message": violation.message} for violation in row.violations],
    }


class Report(Protocol):
    """Takes note of what becomes of each document."""

    counts: Counter[Status]

    def add(self, row: Row) -> None:
        """Take note of a document."""
        ...

    def close(self, stopped: str | None = None) -> None:
        """Print what is left to print; `stopped` says why the end was not reached."""
        ...


class JsonReport:
    """Prints one JSON object, a line for every document as it is settled."""

    def __init__(self, out: TextIO) -> None:
        self.counts = Counter[Status]()
        self._out = out
        self._out.write('{"documents":[')
        self._separator = "\n"

    def add(self, row: Row) -> None:
        """Print a document."""
        self.counts[row.status] += 1
        self._out.write(self._separator + json.dumps(as_jsonable(row)))
        self._separator = ",\n"

    def close(self, stopped: str | None = None) -> None:
        """Print the sums; `stopped` says why the end was not reached."""
        summary = {status.value: self.counts[status] for status in Status}
        self._out.write(f'\n],"summary":{json.dumps(summary)},"stopped":{json.dumps(stopped)}}}\n')


class TableReport:
    """Keeps what is worth a line and prints the tables at the end."""

    def __init__(self, out: TextIO, files: Iterable[Path], *, verbose: bool = False) -> None:
        """`files` are those that will be reported on, in order."""
        self.counts = Counter[Status]()
        self._out = out
        self._limit = None if verbose else MAX_LISTED
        self._verbose = verbose
        self._files = {path: Counter[Status]() for path in files}
        self._listed: list[Row] = []
        self._reasons = Counter[tuple[Status, str]]()
        self._violating: list[Row] = []
        self._violating_count = 0

    def add(self, row: Row) -> None:
        """Take note of a document."""
        self.counts[row.status] += 1
        self._files[row.path][row.status] += 1
        if row.status is Status.REFUSED or self._verbose:
            self._keep(self._listed, row)
        elif row.reason:
            self._reasons[row.status, row.reason] += 1
        if row.violations and row.status is not Status.REFUSED:
            self._violating_count += 1
            self._keep(self._violating, row)

    def close(self, stopped: str | None = None) -> None:
        """Print the tables, if anything came to be reported; `stopped` says why the end was not reached."""
        if not self.counts:
            return
        from titan.cli.transfer.tables import Tables  # noqa: PLC0415  (rich costs 0.1 s; only what prints needs it)

        tables = Tables(self._out, self._limit)
        tables.files(self._files, self.counts)
        tables.documents(self._in_order(self._listed), self.counts[Status.REFUSED] if not self._verbose else None)
        tables.reasons(self._reasons)
        tables.violations(self._in_order(self._violating), self._violating_count)
        if stopped is not None:
            tables.line(f"Stopped before the end: {shown(stopped)}")

    def _keep(self, rows: list[Row], row: Row) -> None:
        if self._limit is None or len(rows) < self._limit:
            rows.append(row)

    def _in_order(self, rows: list[Row]) -> list[Row]:
        """Order by place in the files: documents are settled in any order."""
        order = {path: number for number, path in enumerate(self._files)}
        return sorted(rows, key=lambda row: (order[row.path], row.at or 0))
