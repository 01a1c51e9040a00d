"""Were ordinary reads as new as is promised, and did no session go back? Judged from what was written, and when.

    too_old(operations) == [] and gone_back(operations) == []

A value stands for the write that made it. One write is *certainly* later than another if it began after the answer to
that; only what is certain is found, so that nothing honest is. A write without an answer has no end: it may have taken
effect at any time, or never.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.support.linearizable import ABSENT, Action, Delete, Get, Put, State, Swap

BOUND_S = 1.0
"""How old an ordinary read may be, counted from its begin."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A call on one document by one client, who does one thing at a time."""

    client: int
    key: str
    action: Action
    begun_s: float
    ended_s: float
    """Infinite where no answer came."""
    is_recent: bool = False
    """An ordinary read."""
    is_session: bool = False
    """It carried its client's token."""


@dataclass(frozen=True, slots=True)
class _Write:
    value: State
    begun_s: float
    ended_s: float


_NEVER = _Write(ABSENT, -math.inf, -math.inf)


@dataclass(slots=True)
class _Document:
    """What was written to it."""

    by_value: dict[State, _Write] = field(default_factory=dict)
    deletions: list[_Write] = field(default_factory=list)

    def add(self, operation: Operation) -> _Write | None:
        """Take in a write; None where it is none, or did nothing."""
        match operation.action:
            case Put(value) | Swap(value=value, done=True | None):
                write = _Write(value, operation.begun_s, operation.ended_s)
                self.by_value[value] = write
            case Delete(True | None):
                write = _Write(ABSENT, operation.begun_s, operation.ended_s)
                self.deletions.append(write)
            case _:
                return None
        return write

    def shown(self, value: State, at_s: float) -> _Write | None:
        """Return the latest write that a read ending at that time may have shown; None: nobody made that.

        Of several deletions the last to end, which is the one that excuses most.
        """
        if value is not ABSENT:
            write = self.by_value.get(value)
            return write if write is not None and write.begun_s <= at_s else None
        return max(
            (write for write in self.deletions if write.begun_s <= at_s),
            key=lambda write: write.ended_s,
            default=_NEVER,
        )


def too_old(operations: Sequence[Operation]) -> list[str]:
    """Return the ordinary reads that show what was replaced, certainly, more than `BOUND_S` before they began."""
    documents, found = _documents(operations), []
    acknowledged: dict[str, list[_Write]] = defaultdict(list)
    for key, document in documents.items():
        writes = (*document.by_value.values(), *document.deletions)
        acknowledged[key] = [write for write in writes if write.ended_s < math.inf]
    for read in operations:
        if not (isinstance(read.action, Get) and read.is_recent):
            continue
        limit_s = read.begun_s - BOUND_S
        known = (write for write in acknowledged[read.key] if write.ended_s < limit_s)
        over = max(known, key=lambda write: write.begun_s, default=_NEVER)
        shown = documents[read.key].shown(read.action.found, read.ended_s)
        if shown is None:
            found.append(f"nobody wrote what was read: {read}")
        elif shown.ended_s < over.begun_s:
            found.append(f"{read.begun_s - over.ended_s:.3f} s too late for {shown}, because of {over}: {read}")
    return found


def gone_back(operations: Iterable[Operation]) -> list[str]:
    """Return the reads of sessions that show what is certainly older than what the session had seen or written."""
    operations = sorted(operations, key=lambda operation: operation.begun_s)
    documents, found = _documents(operations), []
    floors: dict[tuple[int, str], _Write] = defaultdict(lambda: _NEVER)
    for operation in operations:
        if not operation.is_session or operation.ended_s == math.inf:
            continue
        place, document = (operation.client, operation.key), documents[operation.key]
        match operation.action:
            case Get(value):
                shown = document.shown(value, operation.ended_s)
                if shown is not None and shown.ended_s < floors[place].begun_s:
                    found.append(f"a session had seen {floors[place]} before: {operation}")
                if value is ABSENT:
                    continue  # which deletion it was is not known
            case Put(value) | Swap(value=value, done=True):
                shown = document.by_value[value]
            case Delete(True):
                shown = _Write(ABSENT, operation.begun_s, operation.ended_s)
            case _:
                continue
        if shown is not None:
            floors[place] = max(floors[place], shown, key=lambda write: write.begun_s)
    return found


def _documents(operations: Iterable[Operation]) -> dict[str, _Document]:
    documents: dict[str, _Document] = defaultdict(_Document)
    for operation in operations:
        documents[operation.key].add(operation)
    return documents
