"""The actor that holds a role's lease, and how the tasks of a term are run under it; the steps: `titan.coordination`.

The role's supervisor has a leash and starts in order: this actor, then the tasks. The actor *stands by* until it has
won, so that no task runs before and no start waits for it; it cuts the leash when the term is over, which ends every
child at once, and its supervisor's parent begins the next run, in which it stands by again.
"""

from collections.abc import Awaitable, Callable

import trio

from supervisors.kernel import Context
from titan.coordination.candidate import Candidate, End
from titan.coordination.election import ElectionAway
from titan.coordination.standing import Standing
from titan.store.contract import Deposed, Fence, Store, StoreUnavailable
from titan.telemetry.log import Log

STOP_WORK_S = 1.0
"""How long the end of a term waits for work that was cancelled, before the lease is left to run out."""
RELEASE_S = 0.5
"""How long letting go may take. With `STOP_WORK_S`: a stopped instance is replaced within 2 s."""
SHUTDOWN_S = STOP_WORK_S + RELEASE_S + 0.5

STOPPED = "the server stops"
LEASH = "the lease ran out"


class LeaseActor:
    """Holds one role's lease whenever it can; permanent, ends with every term.

    Neither an election nor a store that is away ends it: then nobody here leads, which `standing` says.
    """

    def __init__(self, candidate: Candidate, standing: Standing, store: Store, log: Log) -> None:
        self._candidate = candidate
        self._standing = standing
        self._store = store
        self._log = log
        self._stands_back_until = -float("inf")
        self._why = ""
        self._depositions = 0
        """In a row: how often a newer term ended one of this instance."""

    async def run(self, ctx: Context) -> None:
        """Stand for the role, lead for one term, let go."""
        leash = ctx.leash
        assert leash is not None, "a lease actor needs a supervisor with a leash"
        self._why = ""
        ctx.standby()
        try:
            until, epoch = await self._begin()
            if leash.extend(until):
                self._standing.lead(epoch)
                self._log.info("leadership won", role=self._standing.role, epoch=epoch)
                ctx.started(epoch)
                self._why = await self._candidate.keep(until, leash.extend)
                leash.cut()
            await trio.sleep_forever()  # the leash ends this
        finally:
            self._end(self._why or (LEASH if leash.has_run_out() else STOPPED))
            await self._let_go()

    def task(self, work: Callable[[Context, Fence], Awaitable[None]]) -> Callable[[Context], Awaitable[None]]:
        """Give the child that does this work for the length of a term, with the term's fence.

        A refused effect (`Deposed`, also in a group) ends the term and is no fault of the task.
        """

        async def run(ctx: Context) -> None:
            with self._standing.work() as fence:
                try:
                    await work(ctx, fence)
                except* Deposed as refused:
                    self._depose(ctx, _first(refused))
                else:
                    return
                await trio.sleep_forever()  # the leash ends this

        return run

    def _depose(self, ctx: Context, error: Deposed) -> None:
        """End the term because a newer one has begun, and leave the role to that one: longer each time in a row.

        Where an election is split, each half would else take the role from the other without end.
        """
        assert ctx.leash is not None
        if not self._why:
            self._why = str(error)
            self._depositions += 1
            timings = self._candidate.timings
            self._stand_back(min(timings.ttl_s, timings.stand_back_s * 2 ** min(self._depositions, 10) / 2))
        ctx.leash.cut()

    async def _begin(self) -> tuple[float, int]:
        """Go through the steps that begin a term, as often as it takes; return the lease's end and the epoch."""
        while True:
            await trio.sleep_until(self._stands_back_until)
            until = await self._candidate.win()
            begun = await self._begin_within(until)
            if begun is not None:
                return begun
            await self._candidate.release()
            self._stand_back(self._candidate.timings.stand_back_s)

    async def _begin_within(self, until: float) -> tuple[float, int] | None:
        with trio.CancelScope(deadline=until):
            try:
                epoch = await self._store.begin_term(self._candidate.role, self._candidate.holder)
                renewed = await self._candidate.renew()
            except (StoreUnavailable, ElectionAway) as error:
                self._log.warning("leadership not begun", role=self._standing.role, reason=error.reason)
                return None
            return None if renewed is None else (renewed, epoch)
        return None

    def _end(self, why: str) -> None:
        """Say at once that this instance leads no more; its work is about to stop."""
        if self._standing.leads:
            self._log.warning("leadership ended", role=self._standing.role, epoch=self._standing.epoch, reason=why)
        self._standing.follow()

    async def _let_go(self) -> None:
        """Release the lease once nothing works under it."""
        with trio.move_on_after(STOP_WORK_S, shield=True) as waiting:
            await self._standing.wait_idle()
        if waiting.cancelled_caught:
            self._log.error("leadership not released", role=self._standing.role, reason="its work does not stop")
            return
        with trio.move_on_after(RELEASE_S, shield=True):
            await self._candidate.release()
        if self._why in tuple(End):
            self._depositions = 0
        if self._why in (End.ASKED, End.UNFIT):
            self._stand_back(self._candidate.timings.stand_back_s)

    def _stand_back(self, seconds: float) -> None:
        """Leave it to others for so long."""
        self._stands_back_until = trio.current_time() + seconds


def _first(group: BaseExceptionGroup[Deposed]) -> Deposed:
    one = group.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one
