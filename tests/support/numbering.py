"""The real server with one more task of the leader: it counts, one number after the other, each to be written once.

`python -m tests.support.numbering` is `titan serve` whose `cleanup-worker` reads the greatest number in the table
`effects`, waits a moment, and writes the next one in a transaction under its fence. That is how work comes to be done
twice: what was true when it was read may not be when it is written. Two leaders that both write show as a number that
is there twice, or as one that was written under a term that was over.

$NUMBERING_STOP names a file. Where it exists, the process removes it and stops itself (SIGSTOP) at the point that the
file's content says: `before` the transaction, or `within` it, with a document locked, or there while `sending` a
statement. $NUMBERING_UNFENCED is a build without the fence, for the control.
"""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast
from unittest.mock import patch

import trio

from supervisors.actors.lease import LeaseActor
from supervisors.kernel import Child, Context, Supervisor
from supervisors.root import serve
from supervisors.tasks import Tasks
from tests.support.raw_postgres import parse_message
from titan.settings_load import load
from titan.store.contract import Fence, StoreUnavailable
from titan.store.postgres import terms
from titan.store.postgres.session import Session
from titan.store.postgres.store import PostgresStore

PROGRAM = (sys.executable, "-m", "tests.support.numbering")
ROLE = "cleanup-worker"
HELD = "urn:held"
"""The document that is locked where the process stops within its transaction."""

TABLE = """
CREATE TABLE effects (
  n bigint GENERATED ALWAYS AS IDENTITY, number bigint, epoch bigint, newest bigint, holder text
);
ALTER TABLE effects OWNER TO titan
"""

_LAST = "SELECT coalesce(max(number), 0) AS last FROM effects"
_WRITE = """
INSERT INTO effects (number, epoch, holder, newest)
SELECT $1::bigint, $2::bigint, $3::text, (SELECT epoch FROM titan_epoch WHERE role = $4) RETURNING n
"""
_LOCK = "UPDATE titan_document SET modified_ms = modified_ms WHERE id = $1 RETURNING n"
_PAUSE_S = 0.005


async def _count_on(session: Session, fence: Fence, holder: str, stop: Path) -> None:
    row = await session.read_row(_LAST)
    assert row is not None
    _stop_if_due(stop, "before")
    await asyncio.sleep(_PAUSE_S)
    await session.begin()
    await terms.hold(session, fence)
    await session.row(_WRITE, row["last"] + 1, fence.epoch, holder, fence.role)
    for where in ("within", "sending"):
        if _is_due(stop, where):
            await session.row(_LOCK, HELD)
            if where == "sending":
                # By hand: the loop would send it when it is idle, and it will not be.
                os.write(session._connection._transport.get_extra_info("socket").fileno(), parse_message("SELECT 1"))
            _stop_if_due(stop, where)
    await asyncio.sleep(_PAUSE_S)
    await session.commit()


def _is_due(stop: Path, where: str) -> bool:
    return stop.exists() and stop.read_text() == where


def _stop_if_due(stop: Path, where: str) -> None:
    if _is_due(stop, where):
        stop.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)


async def _numbers(store: PostgresStore, holder: str, stop: Path, ctx: Context, fence: Fence) -> None:
    ctx.started()
    while True:
        try:
            # Not to be called off in its middle, so that a cancellation is not what saves the build without a fence.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 10):
                await store._use(_count_on, fence, holder, stop)
        except StoreUnavailable as error:
            print(f"numbers: {error.reason}", file=sys.stderr)
            await trio.sleep(0.05)
        await trio.sleep(_PAUSE_S)


_really_of = Tasks.of


def _of(tasks: Tasks, role: str, lease: LeaseActor) -> Supervisor | None:
    spec = _really_of(tasks, role, lease)
    if role != ROLE or spec is None:
        return spec
    store = cast(PostgresStore, tasks._store)
    work = partial(_numbers, store, os.environ["TITAN_INSTANCE_ID"], Path(os.environ["NUMBERING_STOP"]))
    return replace(spec, children=(*spec.children, Child(name="numbers", run=lease.task(work), shutdown_s=1.0)))


async def _hold_nothing(session: Session, fence: Fence | None) -> None:
    """Let everything through."""


def main() -> int:
    """Serve."""
    patch.object(Tasks, "of", _of).start()  # for the rest of the process
    if os.environ.get("NUMBERING_UNFENCED"):
        patch.object(terms, "hold", _hold_nothing).start()
    return serve(load(os.environ, longest_shutdown_s=0))


if __name__ == "__main__":
    sys.exit(main())
