"""What the store keeps for the tasks of leaders, and does for them alone: what every store promises for it.

Not promised: that a run which was broken off (a crash, a term that ended) is noted as such by anyone but the next
leader, who begins it again; nor that a task is begun at the very moment that it is due.

Promised:

* **One run a period, whoever leads.** When a task is due is noted with the end of its last run, by the database's
  clock, in the transaction that notes the outcome. A leader that takes over begins what is due then, nothing earlier,
  and at once what its predecessor began and did not end.
* **A request is kept** until a run that began after it has ended.
* **Figures** are replaced in the transaction that ends the run which counted them: those of a run that did not end are
  never seen.
* Everything but a request is a leader's work and raises `contract.Deposed` where the term is over, changing nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from titan.store.contract import Fence, Kind


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Expiring(StrEnum):
    """What the store keeps for a time only."""

    IDEMPOTENCY_KEY = "idempotency-key"
    EVENT_CURSOR = "event-cursor"
    """Durable cursors that nobody keeps anew (`titan.store.cursors`)."""
    SYNC_RECORD = "sync-record"
    """What is known of the documents of a source that is pulled no more, and the source itself."""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What is known of a task. Times are wall time in milliseconds since the epoch, by the database's clock."""

    name: str
    due_ms: int
    requested_ms: int | None
    """When somebody asked for a run that has not been made yet."""
    started_ms: int | None
    """When the newest run began; None: there never was one."""
    is_running: bool
    """It began and its end has not been noted: it runs, or was broken off."""
    ended_ms: int | None
    """When the last run that ended did so, and how."""
    outcome: Outcome | None
    detail: str
    succeeded_ms: int | None
    """When one last ended well."""
    failures: int
    """Runs in a row that failed."""
    runs: int
    """Runs that ended, ever."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The task is to be run now."""

    now_ms: int
    """The database's clock: what a run compares ages with."""
    failures: int
    is_resumed: bool
    """An earlier run was begun and its end never noted."""


@dataclass(frozen=True, slots=True)
class NotDue:
    """There is nothing to do yet."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One number about the store, for the metrics. `label` tells those of one name apart."""

    name: str
    label: str
    value: int


@dataclass(frozen=True, slots=True)
class TemplateCount:
    """How many submodels carry one semantic id."""

    digest: bytes
    """What stands for the semantic id in the index (`titan.store.codes.term`)."""
    submodels: int
    sample: bytes | None
    """The header of one of them, from which the id can be read; None where it is too large to be worth it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is in the store."""

    documents: Mapping[Kind, int]
    templates: Sequence[TemplateCount]
    """The most frequent ones, in falling order."""
    other_templates: int
    """What all the others come to. A submodel with two semantic ids counts twice."""
    store_bytes: int
    """What the tables, their indexes and the files take."""
    outbox_changes: int
    """Changes in the outbox, at most: their numbers may have holes."""
    files: int
    file_bytes: int


SAMPLE_MAX_BYTES = 1 << 16
"""Headers up to this size are taken as samples."""


class Tasks(Protocol):
    """The tasks of one store. Errors and cancellation are as in `contract.Store`."""

    async def look(self) -> Sequence[TaskRecord]:
        """Return what is known of every task that was ever begun or asked for, by name."""
        ...

    async def request(self, names: Sequence[str]) -> int:
        """Ask for a run of each of these tasks, whoever leads; anybody may. Return the time of it.

        A run that began at that time or later is the one.
        """
        ...

    async def begin(self, name: str, *, every_s: float, fence: Fence) -> Begun | NotDue:
        """Begin a run if it is due. `every_s` is the time from one start to the next."""
        ...

    async def end(
        self,
        name: str,
        outcome: Outcome,
        detail: str,
        *,
        due_in_s: float,
        figures: Sequence[Figure] | None = None,
        fence: Fence,
    ) -> None:
        """Note how the run ended and when the next one is due; `figures` replace all that were kept before."""
        ...

    async def figures(self) -> Sequence[Figure]:
        """Return the figures that are kept."""
        ...

    async def count(self, *, templates: int) -> Counts:
        """Count what there is, `templates` of the most frequent semantic ids by themselves. May take long."""
        ...

    async def expire(self, what: Expiring, *, fence: Fence) -> int:
        """Forget what has expired, in many short transactions; return how many."""
        ...
