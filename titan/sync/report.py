"""What came of a pull: counted, and what was refused named."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from titan.printable import printable
from titan.store.contract import MAX_ID_CHARACTERS, Kind

MAX_NAMED: Final = 100
"""Refusals that are named; the others are counted."""
MAX_REASON_CHARACTERS: Final = 300


class Outcome(StrEnum):
    """What became of one document."""

    CREATED = "created"
    REPLACED = "replaced"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    KEPT = "kept"  # it differs here, where its home is, and did not change there
    RELEASED = "released"  # no longer within the filter, or gone there and not ours to delete: stays here, not followed
    REFUSED = "refused"


CHANGES: Final = (Outcome.CREATED, Outcome.REPLACED, Outcome.DELETED)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One document that could not be taken, and why; fit to be shown."""

    kind: Kind
    id: str
    reason: str


@dataclass(slots=True)
class Report:
    """A pull so far, or as it ended."""

    source: str
    is_resumed: bool = False
    """True: it went on where an earlier one was cut off, and counts from there."""
    failure: str | None = None
    """Why it ended early; the next one goes on there. None: it came, or is coming, to its end."""
    requests: int = 0
    received_bytes: int = 0
    counts: Counter[tuple[Kind, Outcome]] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)
    """The first `MAX_NAMED`."""
    count_one: Callable[[str, str, str], None] = field(default=lambda *_: None, repr=False, compare=False)
    """Told of each document as it is counted: source, kind, outcome."""

    def add(self, kind: Kind, outcome: Outcome) -> None:
        """Count one document."""
        self.counts[kind, outcome] += 1
        self.count_one(self.source, kind.value, outcome.value)

    def refuse(self, kind: Kind, document_id: str | None, reason: str) -> None:
        """Count and name one that could not be taken."""
        self.add(kind, Outcome.REFUSED)
        if len(self.refusals) < MAX_NAMED:
            shown = printable((document_id or "")[:MAX_ID_CHARACTERS])
            self.refusals.append(Refusal(kind, shown, printable(reason[:MAX_REASON_CHARACTERS])))

    def count(self, *outcomes: Outcome) -> int:
        """Return how many documents of all kinds had one of these outcomes."""
        return sum(number for (_, outcome), number in self.counts.items() if outcome in outcomes)

    @property
    def changed(self) -> int:
        """How many documents were written or deleted here."""
        return self.count(*CHANGES)

    def summary(self) -> str:
        """Say it in one line."""
        parts = [f"{number} {outcome}" for outcome in Outcome if (number := self.count(outcome))]
        said = ", ".join(parts) or "nothing there"
        if self.failure is not None:
            return f"{self.source}: {self.failure} (until then: {said})"
        return f"{self.source}: {said}"

    def as_jsonable(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "source": self.source,
            "failure": self.failure,
            "resumed": self.is_resumed,
            "requests": self.requests,
            "received_bytes": self.received_bytes,
            "counts": {
                kind: {outcome: self.counts[kind, outcome] for outcome in Outcome if self.counts[kind, outcome]}
                for kind in Kind
                if any(counted is kind for counted, _ in self.counts)
            },
            "refused": [
                {"kind": refusal.kind, "id": refusal.id, "reason": refusal.reason} for refusal in self.refusals
            ],
        }
