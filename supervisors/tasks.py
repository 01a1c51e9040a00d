"""The leader's tasks as an instance has them: an actor for each, and what every instance shows of them."""

from collections.abc import Mapping, Sequence

from supervisors.actors.lease import LeaseActor
from supervisors.actors.tasks.board import BoardActor
from supervisors.actors.tasks.task import TaskActor
from supervisors.kernel import Backoff, Child, Intensity, Restart, Strategy, Supervisor
from titan.settings import Settings
from titan.store.contract import Store
from titan.store.tasks import Figure
from titan.tasks import metrics_aggregation as counted
from titan.tasks.board import Board
from titan.tasks.table import make_tasks
from titan.telemetry import task_metrics as shown
from titan.telemetry.described import Described
from titan.telemetry.log import Log
from titan.telemetry.metrics import Metrics
from titan.telemetry.tasks import TaskTelemetry

SHUTDOWN_S = 1.0
"""A task that is cancelled has nothing to finish."""

BACKOFF = Backoff(base_s=0.02, cap_s=0.04)
INTENSITY = Intensity(max_restarts=2, within_s=60.0)
"""An actor of a task outlives whatever its task does; that it crashes is a bug of the actor, told to the term soon."""

METRIC_OF: Mapping[str, Described] = {
    counted.DOCUMENTS: shown.DOCUMENTS,
    counted.SUBMODELS: shown.SUBMODELS,
    counted.STORE_BYTES: shown.STORE_BYTES,
    counted.OUTBOX_CHANGES: shown.OUTBOX_CHANGES,
    counted.FILES: shown.FILES,
    counted.FILE_BYTES: shown.FILE_BYTES,
    counted.CURSOR_KEPT_MS: shown.CURSOR_KEPT,
    counted.COUNTED_MS: shown.COUNTED,
}
"""How the figures in the store are shown; one of a later version that is not among them is not."""


_TIMES = (shown.CURSOR_KEPT, shown.COUNTED)
"""Kept in milliseconds, shown in seconds."""


class Tasks:
    """Every task of the installation on this instance; made once, before anything runs."""

    def __init__(self, settings: Settings, store: Store, log: Log, metrics: Metrics) -> None:
        count_pulled = metrics.watch_sync() if settings.sync.sources else None
        self._tasks = make_tasks(settings, count_pulled=count_pulled)
        self._store = store
        self._board = Board()
        self.board = BoardActor(self._board, store)
        count = shown.watch_tasks(
            metrics.registry,
            [task.name for task in self._tasks],
            last_success=self._last_success,
            figures=lambda: figures(self._board.figures),
        )
        self._telemetry = TaskTelemetry(log, count)

    def of(self, role: str, lease: LeaseActor) -> Supervisor | None:
        """Return what does a role's tasks for the length of a term; None where it has none."""
        children = tuple(
            Child(
                name=task.name,
                run=lease.task(TaskActor(task, self._store, self._board, self._telemetry).run),
                restart=Restart.PERMANENT,
                shutdown_s=SHUTDOWN_S,
                backoff=BACKOFF,
                why=task.why,
            )
            for task in self._tasks
            if task.role == role
        )
        if not children:
            return None
        return Supervisor(
            name="tasks",
            strategy=Strategy.ONE_FOR_ONE,
            intensity=INTENSITY,
            why="what the leader does; none of them minds another's trouble",
            children=children,
        )

    def _last_success(self) -> Mapping[str, float]:
        # A task that is no longer configured has a record for a while yet, and is not late.
        return {
            task.name: record.succeeded_ms / 1000
            for task in self._tasks
            if (record := self._board.records.get(task.name)) is not None and record.succeeded_ms is not None
        }


def figures(kept: Sequence[Figure]) -> shown.Figures:
    """Return what the metrics show of the figures."""
    found: dict[Described, list[tuple[tuple[str, ...], float]]] = {}
    for figure in kept:
        if (metric := METRIC_OF.get(figure.name)) is not None:
            labels = (figure.label,) if metric.labels else ()
            value = figure.value / 1000 if metric in _TIMES else figure.value
            found.setdefault(metric, []).append((labels, value))
    return found
