"""`external-sync`: pulls what changed on another AAS server (`titan.sync`); a task for each of the sources."""

from collections.abc import Callable

import trio

from titan.settings_sync import SyncSource
from titan.sync.policy import Policy
from titan.tasks.task import Done, Failed, Run

CountOne = Callable[[str, str, str], None]
"""Told of each document that a pull came to: source, kind, outcome."""


async def external_sync(run: Run, *, source: SyncSource, policy: Policy, count_one: CountOne) -> Done | Failed:
    """Pull one source to its end, or to what keeps it from getting there."""
    from titan.sync.pull import pull  # noqa: PLC0415  (its HTTP client costs memory that a server without sources saves)

    try:
        found = await trio.to_thread.run_sync(source.as_source)
    except (OSError, ValueError) as error:
        return Failed(f"its credentials cannot be read: {error}")
    report = await pull(found, run.store, run.fence, policy=policy, count_one=count_one)
    return Done(report.summary()) if report.failure is None else Failed(report.summary())
