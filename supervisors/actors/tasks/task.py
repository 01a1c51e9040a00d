"""The actor of one task of a term: runs it when the store says that it is due, and notes how that ended."""

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from supervisors.kernel import Context, describe
from titan.store.contract import Deposed, Fence, Store, StoreUnavailable
from titan.store.tasks import Begun, Figure, NotDue, Outcome
from titan.tasks.board import Board
from titan.tasks.task import Done, Failed, Run, Task
from titan.telemetry.tasks import TaskTelemetry

AWAY_S = 1.0
"""How soon the store is asked again that could not serve."""

RETRY_S = 30.0
"""How soon a task is tried again after its first failure; twice as late after each further one, up to its interval."""


@dataclass(frozen=True, slots=True)
class _Ended:
    result: Done | Failed
    took_s: float


class TaskActor:
    """Works for one term, from the first look at the store to the term's end.

    A run that fails, in whatever way, is noted and tried again later; it ends neither the actor nor the term. The store
    away is waited for. `Deposed` is raised: the term is over. Cancelled in the middle of a run it notes nothing, and so
    the next term goes on with it.
    """

    def __init__(self, task: Task, store: Store, board: Board, telemetry: TaskTelemetry) -> None:
        self._task = task
        self._store = store
        self._board = board
        self._telemetry = telemetry

    async def run(self, ctx: Context, fence: Fence) -> None:
        """Be the actor, until cancelled."""
        ctx.started()
        while True:
            try:
                wait_s = await self._turn(fence)
            except StoreUnavailable:
                wait_s = AWAY_S  # the `database` check says why
            with trio.move_on_after(wait_s):
                await self._board.wait_requested(self._task.name)

    async def _turn(self, fence: Fence) -> float:
        """Run the task if it is due; return how long there is nothing to do."""
        task = self._task
        match await self._store.tasks.begin(task.name, every_s=task.every_s, fence=fence):
            case NotDue(wait_s):
                return wait_s
            case Begun() as begun:
                return await self._run(begun, fence)

    async def _run(self, begun: Begun, fence: Fence) -> float:
        task = self._task
        self._telemetry.begun(task.name, is_resumed=begun.is_resumed)
        ended = await self._work(Run(self._store, fence, begun.now_ms))
        figures: Sequence[Figure] | None = None
        match ended.result:
            case Done(detail, figures):
                outcome, due_in_s = Outcome.SUCCEEDED, max(task.every_s - ended.took_s, 0.0)
            case Failed(detail):
                outcome, due_in_s = Outcome.FAILED, retry_in_s(begun.failures, task.every_s)
        await self._store.tasks.end(task.name, outcome, detail, due_in_s=due_in_s, figures=figures, fence=fence)
        self._telemetry.ended(task.name, outcome.value, detail, took_s=ended.took_s)
        return 0.0  # what was asked for meanwhile is run at once

    async def _work(self, run: Run) -> _Ended:
        """Do the work; whatever goes wrong with it becomes a result, save for the end of the term."""
        began = trio.current_time()
        result: Done | Failed
        try:
            result = await self._task.work(run)
        except Deposed:
            raise
        except StoreUnavailable as error:
            result = Failed(error.reason)
        except Exception as error:
            if isinstance(error, ExceptionGroup) and error.subgroup(Deposed) is not None:
                raise
            self._telemetry.broke(self._task.name, error)
            result = Failed(describe(error))
        return _Ended(result, trio.current_time() - began)


def retry_in_s(failures: int, every_s: float) -> float:
    """Return how long to wait after a failed run with so many failures in a row before it."""
    return min(RETRY_S * 2.0 ** min(failures, 30), every_s)
