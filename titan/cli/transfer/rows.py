"""What became of one document, or of one file that gives none."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from titan.model.verification import Violation
from titan.store.contract import Kind


class Status(StrEnum):
    """The four things that can become of a document."""

    TAKEN = "taken"  # there was none
    CHANGED = "changed"  # there was another one
    SKIPPED = "skipped"  # there is nothing to do
    REFUSED = "refused"  # it was not taken and should have been


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a report."""

    path: Path
    status: Status
    reason: str = ""
    kind: Kind | None = None
    """None where the whole file is meant."""
    id: str | None = None
    at: int | None = None
    """Where the document begins in its file (bytes)."""
    violations: tuple[Violation, ...] = ()
