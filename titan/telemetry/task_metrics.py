"""Metrics of the leader's tasks, and the figures that one of them counts for all instances.

Runs are counted where they are made. When a task last succeeded, and the figures, come from the store and are the same
on every instance: take the maximum over instances, not the sum.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from titan.telemetry.described import Collected, Described, Kind

DURATION_BUCKETS_S = (0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 1800.0)
"""From a task that finds nothing to do to one that has fallen behind."""

OUTCOMES = ("succeeded", "failed")

RUNS = Described(
    "titan_leader_task_runs_total", Kind.COUNTER, "Runs of a task that ended on this instance.", ("task", "outcome")
)
DURATION = Described(
    "titan_leader_task_duration_seconds",
    Kind.HISTOGRAM,
    "How long runs of a task took that ended on this instance.",
    ("task",),
)
LAST_SUCCESS = Described(
    "titan_leader_task_last_success_timestamp_seconds",
    Kind.GAUGE,
    "When a run of the task last ended well, on whichever instance; absent before the first.",
    ("task",),
)
DOCUMENTS = Described("titan_documents", Kind.GAUGE, "Documents in the store, as counted last.", ("kind",))
SUBMODELS = Described(
    "titan_submodels",
    Kind.GAUGE,
    "Submodels that carry a semantic id, of the 50 most frequent ones and all others together (`other`).",
    ("template",),
)
STORE_BYTES = Described("titan_store_bytes", Kind.GAUGE, "What documents, indexes and files take, as counted last.")
OUTBOX_CHANGES = Described("titan_outbox_changes", Kind.GAUGE, "Changes that are kept for those who follow, at most.")
FILES = Described("titan_files", Kind.GAUGE, "Uploaded files, as counted last.")
FILE_BYTES = Described("titan_file_bytes", Kind.GAUGE, "Bytes of uploaded files, as counted last.")
CURSOR_KEPT = Described(
    "titan_outbox_cursor_kept_timestamp_seconds",
    Kind.GAUGE,
    "When who follows the outbox last kept how far it is; no change behind that is forgotten for a week.",
    ("cursor",),
)
COUNTED = Described(
    "titan_counted_timestamp_seconds", Kind.GAUGE, "When titan_documents and the other figures were counted."
)

FIGURES = (DOCUMENTS, SUBMODELS, STORE_BYTES, OUTBOX_CHANGES, FILES, FILE_BYTES, CURSOR_KEPT, COUNTED)
ALL = (RUNS, DURATION, LAST_SUCCESS, *FIGURES)

Figures = Mapping[Described, Iterable[tuple[tuple[str, ...], float]]]
"""For each metric its label values and its value."""


def watch_tasks(
    registry: CollectorRegistry,
    tasks: Iterable[str],
    *,
    last_success: Callable[[], Mapping[str, float]],
    figures: Callable[[], Figures],
) -> Callable[[str, str, float], None]:
    """Show these tasks and the figures; return what is told of each run: task, outcome, how long it took."""
    runs = Counter(RUNS.name, RUNS.meaning, RUNS.labels, registry=registry)
    duration = Histogram(
        DURATION.name, DURATION.meaning, DURATION.labels, registry=registry, buckets=DURATION_BUCKETS_S
    )
    for task in tasks:  # a counter that is there from the start shows its first increase
        duration.labels(task)
        for outcome in OUTCOMES:
            runs.labels(task, outcome)

    def collect() -> Iterator[Metric]:
        succeeded = GaugeMetricFamily(LAST_SUCCESS.name, LAST_SUCCESS.meaning, labels=LAST_SUCCESS.labels)
        for task, timestamp_s in last_success().items():
            succeeded.add_metric((task,), timestamp_s)
        if succeeded.samples:
            yield succeeded
        for described, values in figures().items():
            family = GaugeMetricFamily(described.name, described.meaning, labels=described.labels)
            for labels, value in values:
                family.add_metric(labels, value)
            yield family

    registry.register(Collected(collect))

    def tell(task: str, outcome: str, took_s: float) -> None:
        runs.labels(task, outcome).inc()
        duration.labels(task).observe(took_s)

    return tell
