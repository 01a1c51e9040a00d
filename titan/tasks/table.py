"""Every task of this installation: name, whose leader does it, how often, and what is done."""

from collections.abc import Iterator
from functools import partial

from titan.settings import Settings, Verification
from titan.sync.policy import Policy
from titan.sync.source import limits_for
from titan.tasks.blob_cleanup import blob_cleanup
from titan.tasks.external_sync import CountOne, external_sync
from titan.tasks.metrics_aggregation import metrics_aggregation
from titan.tasks.outbox_trim import outbox_trim
from titan.tasks.session_cleanup import session_cleanup
from titan.tasks.task import Task

CLEANUP_WORKER = "cleanup-worker"
EXTERNAL_SYNC = "external-sync"


def make_tasks(settings: Settings, *, count_pulled: CountOne | None = None) -> tuple[Task, ...]:
    """Return every task, those of one role in their start order; `count_pulled` is told of what pulls come to."""
    return (*_cleaning(settings), *_pulls(settings, count_pulled or _uncounted))


def _uncounted(_source: str, _kind: str, _outcome: str) -> None:
    """Count nothing, for who only wants to know which tasks there are."""


def _cleaning(settings: Settings) -> Iterator[Task]:
    tasks = settings.tasks
    yield Task(
        "session-cleanup",
        CLEANUP_WORKER,
        tasks.session_cleanup_every_s,
        session_cleanup,
        why="forgets what is kept for a time only: idempotency keys, cursors and records that nobody uses",
    )
    yield Task(
        "metrics-aggregation",
        CLEANUP_WORKER,
        tasks.metrics_aggregation_every_s,
        metrics_aggregation,
        why="counts what there is, once for all instances",
    )
    yield Task(
        "outbox-trim",
        CLEANUP_WORKER,
        tasks.outbox_trim_every_s,
        partial(outbox_trim, keep_s=tasks.outbox_keep_s),
        why="forgets changes that are older than they are kept and that no cursor needs",
    )
    yield Task(
        "blob-cleanup",
        CLEANUP_WORKER,
        tasks.blob_cleanup_every_s,
        partial(blob_cleanup, grace_s=tasks.blob_grace_s),
        why="removes files that no document names any more",
    )


def _pulls(settings: Settings, count_one: CountOne) -> Iterator[Task]:
    is_lenient = settings.model.verification is Verification.LENIENT
    http = settings.http
    limits = limits_for(max_document_bytes=http.max_body_bytes, max_depth=http.max_json_depth)
    policy = Policy(is_lenient=is_lenient, allowed=settings.sync.allowed, limits=limits)
    for source in settings.sync.sources:
        yield Task(
            f"{EXTERNAL_SYNC}:{source.name}",
            EXTERNAL_SYNC,
            source.interval_s,
            partial(external_sync, source=source, policy=policy, count_one=count_one),
            why=f"pulls what changed on {source.name}",
        )
