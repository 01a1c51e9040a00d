"""The island: the one thread that runs asyncio, for drivers that speak nothing else (architecture 4.1).

trio owns the process; asyncpg and redis-py know asyncio only. This is the only file that knows both loops. A call
crosses once per store operation, never once per statement: what it runs over there is one coroutine.

Not guaranteed: that a call ends soon after it was cancelled. A cancelled caller waits until its coroutine has really
ended, so that no write of its goes on behind its back, and a coroutine may go on where stopping would be wrong (a
COMMIT that was sent). A thread that is stuck cannot be ended from outside; its heartbeat grows old, which liveness
sees.

Guaranteed:

* The coroutine's value or exception is the call's. Cancelled before it was done, the call raises `trio.Cancelled`;
  done in spite of it, it returns the value, for that is what happened.
* The caller's deadline crosses too: `remaining_s()` over there. It is a number, no timer: the caller's own scope
  cancels; what must not be cancelled watches it itself.
* When the thread ends, however it does, every pending call fails at once with `IslandDown`.

Cost: a wake-up of the other loop is a system call and a fight for the interpreter lock, so both directions carry a
queue and one wake-up serves all that came since the last. (Rejected: anyio's portal, whose futures wake once per call,
and trio-asyncio, whose selects were 5 times slower, measured.)
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

import outcome
import trio
import uvloop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CLEAN_UP_S = 1.0
"""How long coroutines get to end after they were cancelled because the thread stops."""

_deadline: ContextVar[float] = ContextVar("island_deadline", default=math.inf)


class IslandDown(Exception):
    """The island's thread is not running, or it ended before the call did; what the call had begun is unknown."""


class IslandDied(Exception):
    """The island's thread ended although nobody stopped it; the cause is the exception that ended its loop."""


def remaining_s() -> float:
    """Return, inside a call, the seconds until its caller's deadline; `inf` where there is none."""
    return _deadline.get() - time.monotonic()


@dataclass(frozen=True, slots=True)
class IslandStatistics:
    """The island at one moment."""

    running: bool
    pending: int
    beat_age_s: float
    """Seconds since its loop last turned; `inf` while it does not run."""


class Island:
    """A handle that outlives its thread: `serve` runs one thread until cancelled, and may be called again."""

    def __init__(self, *, beat_s: float = 0.25) -> None:
        self._beat_s = beat_s
        self._thread: _Thread | None = None

    async def serve(self, started: Callable[[], None]) -> None:
        """Run the thread until cancelled; call `started` once it takes calls. Raise `IslandDied` if it ends by itself.

        On cancellation calls still pending are cancelled, `at_end` callbacks run, and the thread is waited for.
        """
        assert self._thread is None, "the island is served twice"
        thread = self._thread = _Thread(trio.lowlevel.current_trio_token(), self._beat_s)
        try:
            thread.start()
            await thread.running.wait()
            started()
            await thread.ended.wait()
        finally:
            self._thread = None
            with trio.move_on_after(2 * CLEAN_UP_S, shield=True):
                thread.stop()
                await thread.ended.wait()
                thread.join()
        raise IslandDied("the thread of the island died") from thread.cause

    async def run(self, function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """Run `function(*args)` on the island and return what it returns; see the promise of this module."""
        await trio.lowlevel.checkpoint_if_cancelled()
        thread = self._thread
        if thread is None or thread.is_over:
            raise IslandDown("the island is not running")
        result: T = await thread.call(function, args)
        return result

    @property
    def statistics(self) -> IslandStatistics:
        """What it does now."""
        thread = self._thread
        if thread is None or thread.is_over:
            return IslandStatistics(running=False, pending=0, beat_age_s=math.inf)
        return IslandStatistics(running=True, pending=len(thread.pending), beat_age_s=time.monotonic() - thread.beat)


def at_end(callback: Callable[[], None]) -> Callable[[], None]:
    """Have `callback` called when the thread ends, before coroutines are cancelled; return what takes that back.

    To be called on the island. A driver's sockets belong to its loop: whoever opens them drops them in `callback`,
    or a coroutine that waits on one would hold up the end.
    """
    ends = _here.thread.ends
    ends.add(callback)
    return lambda: ends.discard(callback)


class _Call:
    """One call; `raise_cancel` is set once the caller was cancelled."""

    __slots__ = ("args", "deadline", "function", "has_begun", "raise_cancel", "task", "waiter")

    def __init__(self, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        left_s = trio.current_effective_deadline() - trio.current_time()
        self.deadline = time.monotonic() + left_s  # another clock's zero: only the difference crosses
        self.waiter = trio.lowlevel.current_task()
        self.task: asyncio.Task[None] | None = None
        self.has_begun = False
        self.raise_cancel: Callable[[], Any] | None = None


async def _outcome_of(call: _Call) -> outcome.Outcome[Any]:
    try:
        return outcome.Value(await call.function(*call.args))
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  the border: it is raised in the caller
        return outcome.Error(error)


class _Here(threading.local):
    thread: "_Thread"


_here = _Here()


class _Thread:
    """One life of the thread. Methods are called on trio's side unless their name ends in `_there`."""

    def __init__(self, token: trio.lowlevel.TrioToken, beat_s: float) -> None:
        self.running = trio.Event()
        self.ended = trio.Event()
        self.pending: set[_Call] = set()
        self.beat = time.monotonic()
        self.is_over = False
        self.cause: BaseException | None = None
        self.ends: set[Callable[[], None]] = set()
        self._thread = threading.Thread(target=self._main_there, name="titan-island", daemon=True)
        self._token = token
        self._beat_s = beat_s
        self._loop = uvloop.new_event_loop()
        self._context = Context()  # the island's own: that of whoever happens to wake it would leak into all calls
        self._inbox: deque[_Call] = deque()
        self._outbox: deque[tuple[_Call, outcome.Outcome[Any]]] = deque()
        self._is_called = False  # a wake-up of the island is on its way
        self._is_answering = False  # a wake-up of trio is on its way

    # --- trio's side ---

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread's last instructions; only after `ended`."""
        self._thread.join()

    def stop(self) -> None:
        self._wake(self._loop.stop)

    async def call(self, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> Any:
        call = _Call(function, args)
        self.pending.add(call)
        self._post(call)

        def cancel(raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
            call.raise_cancel = raise_cancel
            self._post(call)
            return trio.lowlevel.Abort.FAILED  # the answer comes when the coroutine has ended

        return await trio.lowlevel.wait_task_rescheduled(cancel)

    def _post(self, call: _Call) -> None:
        self._inbox.append(call)
        if not self._is_called:
            self._is_called = True
            self._wake(self._drain_there)

    def _wake(self, function: Callable[[], Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(function, context=self._context)
        except RuntimeError:
            assert self._loop.is_closed()  # the thread just ended: `_over` is on its way and fails what is pending

    def _deliver(self) -> None:
        self._is_answering = False  # before reading: what is appended from now on wakes again
        while self._outbox:
            call, result = self._outbox.popleft()
            if call not in self.pending:
                continue  # failed by `_over` before
            self.pending.discard(call)
            if isinstance(result, outcome.Error) and isinstance(result.error, asyncio.CancelledError):
                result = self._cancelled(call)
            trio.lowlevel.reschedule(call.waiter, result)

    def _cancelled(self, call: _Call) -> outcome.Outcome[Any]:
        return outcome.Error(self._down()) if call.raise_cancel is None else outcome.capture(call.raise_cancel)

    def _down(self) -> IslandDown:
        error = IslandDown("the island was stopped" if self.cause is None else "the thread of the island died")
        error.__cause__ = self.cause
        return error

    def _over(self) -> None:
        """Fail what is pending: nobody will answer it any more."""
        self._deliver()
        self.is_over = True
        pending, self.pending = self.pending, set()
        for call in pending:
            trio.lowlevel.reschedule(call.waiter, outcome.Error(self._down()))

    # --- the island's side ---

    def _main_there(self) -> None:
        asyncio.set_event_loop(self._loop)
        _here.thread = self
        try:
            self._beat_there()
            self._loop.call_soon(self._tell, self.running.set)
            self._loop.run_forever()
        except BaseException as error:  # noqa: BLE001  the border of the thread: `serve` raises it, whole, as the cause
            self.cause = error
            self._tell(self._over)
        try:
            self._clean_up_there()
        finally:
            self._loop.close()
            self._tell(self._over)
            self._tell(self.ended.set)

    def _tell(self, function: Callable[[], Any]) -> None:
        try:
            self._token.run_sync_soon(function)
        except trio.RunFinishedError:
            return  # the process is past trio: nobody waits any more

    def _beat_there(self) -> None:
        self.beat = time.monotonic()
        self._loop.call_later(self._beat_s, self._beat_there)

    def _drain_there(self) -> None:
        self._is_called = False  # before reading, as in `_deliver`
        while self._inbox:
            call = self._inbox.popleft()
            if call.task is None:
                _deadline.set(call.deadline)  # a new task copies the context as it is now
                call.task = self._loop.create_task(self._run_there(call))
            elif call.has_begun:
                call.task.cancel()

    async def _run_there(self, call: _Call) -> None:
        call.has_begun = True  # cancelling a task before its first step would end it without a word to the caller
        if call.raise_cancel is None:
            result = await _outcome_of(call)
        else:
            result = outcome.Error(asyncio.CancelledError())
        self._outbox.append((call, result))
        if not self._is_answering:
            self._is_answering = True
            self._tell(self._deliver)

    def _clean_up_there(self) -> None:
        """End what is left: drop the sockets, then cancel the coroutines and see them end."""
        for callback in list(self.ends):
            callback()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=CLEAN_UP_S))
        self._loop.run_until_complete(asyncio.sleep(0))  # aborted transports close in the loop's next turn
