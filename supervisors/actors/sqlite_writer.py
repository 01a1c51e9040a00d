"""The actor that owns the embedded store's writer process and says how the database is."""

import trio

from supervisors.kernel import Context
from titan.store.contract import StoreUnavailable
from titan.store.sqlite.client import WriterFailed
from titan.store.sqlite.store import SqliteStore
from titan.store.sqlite.trouble import TroubleKind
from titan.telemetry.health import Check, Status

LOOK_EVERY_S = 0.5
SLOW_S = 3.0
"""An answer owed for longer means that the disk hangs; the longest wait for another process is 1.2 s."""
RETRY_S = 1.0

SAID = {
    TroubleKind.FULL: Status.DEGRADED,
    TroubleKind.UNREADABLE: Status.DEGRADED,
    TroubleKind.DAMAGED: Status.DOWN,
}


class SqliteWriterActor:
    """Runs the writer process of one store and keeps the check `database` true.

    A process that dies unasked ends the actor, for its supervisor to restart. A disk that fails is a state: the actor
    stays, reports DOWN and tries again. A full disk is DEGRADED, since reads go on; the actor tries a write until
    there is room.
    """

    def __init__(self, store: SqliteStore, check: Check) -> None:
        self._store = store
        self._check = check
        self._is_started = False
        self._has_failed = False

    async def run(self, ctx: Context) -> None:
        """Serve until cancelled; what was sent by then is finished first, within the client's `STOP_S`."""
        self._is_started = False
        self._has_failed = False
        try:
            while True:
                await self._one_process(ctx)
                await trio.sleep(RETRY_S)
        finally:
            if self._check.result.status is not Status.DOWN:
                self._check.set(Status.DOWN, "the writer process is stopped")

    async def _one_process(self, ctx: Context) -> None:
        """Run one process to its end. Returns where a new one may find things better."""
        failure: WriterFailed | None = None
        async with trio.open_nursery() as nursery:

            def up() -> None:
                if not self._has_failed:
                    self._check.set(Status.UP)
                self._say_started(ctx)
                nursery.start_soon(self._watch)

            try:
                await self._store.run_writer(up)
            except WriterFailed as error:
                failure = error
                nursery.cancel_scope.cancel()
        assert failure is not None
        self._has_failed = True
        self._check.set(Status.DOWN, failure.reason)
        if not failure.may_pass:
            raise failure
        self._say_started(ctx)

    def _say_started(self, ctx: Context) -> None:
        if not self._is_started:
            self._is_started = True
            ctx.started()

    async def _watch(self) -> None:
        """Look at what the process owes and what it refused."""
        writer = self._store.writer
        if self._has_failed:
            await self._try_to_write()  # the disk may fail still: only a write tells
        while True:
            await trio.sleep(LOOK_EVERY_S)
            if writer.waiting_s > SLOW_S:
                hangs = f"a write waits for more than {SLOW_S:g} s: the disk hangs, or process {writer.pid} is stopped"
                self._check.set(Status.DEGRADED, hangs)  # the same words each time, or each would be a line of the log
            elif self._store.trouble is None:
                self._check.set(Status.UP)
            else:
                trouble = self._store.trouble
                self._check.set(SAID[trouble.kind], trouble.reason)
                if trouble.kind is TroubleKind.FULL:
                    await self._try_to_write()

    async def _try_to_write(self) -> None:
        with trio.move_on_after(SLOW_S):
            try:
                await self._store.probe()
            except StoreUnavailable:
                return  # still so; the client has noted why
