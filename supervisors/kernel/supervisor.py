"""The loop of one supervisor. Its semantics first, because they were decided before the code.

**One owner.** All decisions about a supervisor's children are made in its loop, between two awaits, from messages
that the hosts posted and from times that came due. A host changes the state of its own child (started, ended) and
posts it; nobody else changes anything. A turn of the loop reads all messages that are there, then the due times, then
acts once. So a child that starts and dies in the same tick is seen as started, then exited, before anyone acts on its
start; and of an exit and a time-out in the same turn the exit wins.

**Nothing waits inside a decision.** Starting, stopping, backing off are states of a slot with a time, never an await
in the middle of a procedure. A restart of a group is therefore no procedure that a second crash, or a stop, could
interrupt: it is what the following two rules do, turn by turn, from whatever state they find.
  - *Stop*: of the condemned children the last in order is asked to stop; the one before it once that one has ended or
    was reported as too slow.
  - *Start*: while nobody is condemned, the first child in order that is not up is started, unless it is in back-off.
    one_for_one orders only first starts like this; later its children start whenever their back-off ends.

**Exits.** Of a condemned child: expected, whatever it raises (its event carries the error); it decides nothing and is
not counted. Of a child that never started: the first start failed; everything is stopped and the supervisor ends with
`FirstStartFailed`. Any other: the restart type decides; if it is to be restarted it counts, unless a leash ended it;
if the window is full the supervisor gives up, else the child goes into back-off and those who share its fate are
condemned. A child in back-off that is hit by another's restart keeps its own delay.

**Being stopped is being cancelled.** A supervisor has no stop message: its parent cancels it like any child, the
loop's wait raises `Cancelled`, and the `finally` stops the children in order. Each wait in there is shielded by a
scope whose deadline is the time of the child it waits for. So a stop, an error in the loop itself and a
`KeyboardInterrupt` take the same way out. The supervisor's nursery is left only when every child has really ended: a
child that ignores cancellation is reported, does not hold up the stop of the others, and holds up the end of the
supervisor, which only the end of the process can cure.

**Verdict.** What the supervisor ends with is set once, and raised after the nursery has closed, so that it is not
wrapped. A verdict that was reached before a cancellation arrives is raised all the same.

**Leash.** trio itself cancels the children at the deadline; the loop finds the leash run out before it reads any
message, so that no exit caused by it can be taken for a crash, and asks all to stop at once: their term is over,
order no longer matters.
"""

import random
from collections.abc import Callable
from functools import partial

import trio

from supervisors.kernel.backoff import attempt_after, draw_delay_s
from supervisors.kernel.context import Context
from supervisors.kernel.errors import FatalExit, FirstStartFailed, GiveUp, LeashRanOut, StartTimedOut, UnexpectedReturn
from supervisors.kernel.events import ActorEvent, ChildRestarting, GaveUp, StopTooSlow
from supervisors.kernel.host import Exit, Host
from supervisors.kernel.intensity import Window
from supervisors.kernel.leash import LeashHandle
from supervisors.kernel.mailbox import Inbox, Timers
from supervisors.kernel.slot import Slot
from supervisors.kernel.snapshot import Node, State
from supervisors.kernel.spec import DRAIN_GRACE_S, Child, Supervisor
from supervisors.kernel.strategy import comes_back, counts, fate_sharers, needs_restart, starts_in_order


class SupervisorLoop:
    """One run of one supervisor."""

    def __init__(
        self,
        node: Node,
        spec: Supervisor,
        outer_leash: LeashHandle | None,
        rng: random.Random,
        emit: Callable[[ActorEvent], None],
    ) -> None:
        self._node = node
        self._spec = spec
        self._rng = rng
        self._emit = emit
        self._inbox: Inbox[tuple[Slot, Exit | None]] = Inbox()
        self._timers: Timers[Slot] = Timers()
        self._window = Window(spec.intensity)
        self._leash = outer_leash
        if spec.leash is not None:
            self._leash = LeashHandle(spec.leash, outer_leash, self._inbox.wake)
        self._slots = [Slot(child, index) for index, child in enumerate(node.children)]
        self._unbegun = len(self._slots)
        self._frontier = 0
        """No child before this position has to be started in order."""
        self._condemned: list[Slot] = []
        """To be stopped, in start order; the last one is asked."""
        self._stopping = False
        self._verdict: Exception | None = None
        for slot in self._slots:
            slot.node.enter(State.DOWN)

    async def run(self, context: Context) -> None:
        """Supervise until cancelled, or raise what the supervisor ends with; never returns by itself."""
        async with trio.open_nursery() as self._nursery:
            try:
                await self._supervise(context)
            finally:
                await self._stop_children()
        assert self._verdict is not None  # without one, the nursery was left by an exception
        raise self._verdict

    async def _supervise(self, context: Context) -> None:
        announced = False
        while self._verdict is None:
            self._stop_next()
            self._start_next()
            if not announced and self._is_started():
                announced = True
                context.started()
            await self._turn()

    def _is_started(self) -> bool:
        """Say whether every child has begun, or waits for one on standby to go on."""
        if not self._unbegun:
            return True
        host = self._slots[self._frontier].host
        return host is not None and host.is_on_standby

    async def _turn(self) -> None:
        """Wait for news or for the next time, and decide on all that is there."""
        wait_until = self._timers.earliest
        if self._leash is not None and not self._stopping:
            wait_until = min(wait_until, self._leash.deadline)
        # While stopping there always is a time: that of the child which was asked last.
        with trio.CancelScope(deadline=wait_until, shield=self._stopping):
            await self._inbox.wait_news()
        if self._leash is not None and not self._stopping and self._leash.has_run_out():
            self._verdict = LeashRanOut(self._node.path)
        for slot, exit_ in self._inbox.take():
            if exit_ is None:
                self._on_started(slot)
            else:
                self._on_exit(slot, exit_)
        for slot in self._timers.take_due(trio.current_time()):
            self._on_time(slot)

    def _on_started(self, slot: Slot) -> None:
        if not slot.doomed:  # the time of a doomed one is that of its stop
            self._timers.clear(slot)
        if not slot.begun:
            slot.begun = True
            self._unbegun -= 1

    def _on_exit(self, slot: Slot, exit_: Exit) -> None:
        slot.host = None
        self._timers.clear(slot)
        error = exit_.error or UnexpectedReturn(slot.node.path)
        if not isinstance(error, Exception):
            self._verdict = self._verdict or FatalExit(self._node.path, error)
        elif slot.doomed or self._verdict is not None:
            slot.doomed = False
            if slot.begun and not self._stopping and not comes_back(slot.node.spec.restart):
                self._finish(slot)
        elif not slot.begun:
            self._verdict = FirstStartFailed(slot.node.path, error)
        elif needs_restart(slot.node.spec.restart, exit_.reason):
            self._restart(slot, exit_, error)
        else:
            self._finish(slot)

    def _finish(self, slot: Slot) -> None:
        slot.finished = True
        slot.node.enter(State.FINISHED)

    def _restart(self, slot: Slot, exit_: Exit, error: Exception) -> None:
        if counts(exit_.reason) and not self._window.admits(exit_.at, error):
            self._give_up()
            return
        backoff = slot.node.spec.backoff
        slot.attempt = attempt_after(backoff, slot.attempt, exit_.up_s)
        delay_s = draw_delay_s(backoff, slot.attempt, self._rng)
        slot.attempt += 1
        now = trio.current_time()
        self._timers.set(slot, now + delay_s)
        slot.node.enter(State.BACKOFF)
        self._emit(ChildRestarting(slot.node.path, now, delay_s, slot.node.path))
        fate = fate_sharers(self._spec.strategy, slot.index, len(self._slots))
        self._frontier = min(self._frontier, slot.index, *fate)
        self._condemn([self._slots[index] for index in fate], slot.node.path)

    def _give_up(self) -> None:
        intensity = self._spec.intensity
        limit = f"more than {intensity.max_restarts} within {intensity.within_s:g} s"
        error = GiveUp(self._node.path, limit, self._window.errors)
        self._verdict = error
        self._emit(GaveUp(self._node.path, trio.current_time(), error))

    def _on_time(self, slot: Slot) -> None:
        match slot.node.state:
            case State.BACKOFF:
                slot.node.enter(State.DOWN)
                if self._verdict is None and not starts_in_order(self._spec.strategy):
                    self._start(slot)
            case State.STARTING:
                assert slot.host is not None
                assert isinstance(slot.node.spec, Child)  # a supervisor's start has no time of its own
                slot.host.impose(StartTimedOut(slot.node.path, slot.node.spec.start_s))
                self._ask(slot)
            case _:
                self._on_overdue(slot)

    def _on_overdue(self, slot: Slot) -> None:
        now, host = trio.current_time(), slot.host
        assert host is not None
        assert host.asked_at is not None
        if host.insist():
            self._timers.set(slot, now + DRAIN_GRACE_S)
            return
        slot.node.enter(State.STUCK)
        self._emit(StopTooSlow(slot.node.path, now, now - host.asked_at, for_restart=not self._stopping))

    def _start_next(self) -> None:
        """Start the first child that is not up, if the order lets it start now."""
        if self._condemned:
            return
        while self._frontier < len(self._slots) and self._is_past(self._slots[self._frontier]):
            self._frontier += 1
        if self._frontier < len(self._slots):
            slot = self._slots[self._frontier]
            if slot.host is None and slot not in self._timers:
                self._start(slot)

    def _is_past(self, slot: Slot) -> bool:
        if starts_in_order(self._spec.strategy):
            return slot.finished or (slot.host is not None and slot.host.is_up)
        return slot.begun

    def _start(self, slot: Slot) -> None:
        spec = slot.node.spec
        slot.host = Host(slot.node, self._leash, self._emit, partial(self._post, slot))
        if isinstance(spec, Child):
            body = spec.run
            self._timers.set(slot, trio.current_time() + spec.start_s)
        else:  # needs no time of its own: every child below has one
            body = SupervisorLoop(slot.node, spec, self._leash, self._rng, self._emit).run
        self._nursery.start_soon(slot.host.run, body, name=slot.node.path)

    def _post(self, slot: Slot, exit_: Exit | None) -> None:
        self._inbox.post((slot, exit_))

    def _condemn(self, slots: list[Slot], because_of: str | None = None) -> None:
        """Mark the children to be stopped; with `because_of` they are to come back as far as their type allows."""
        for slot in slots:
            spec = slot.node.spec
            if because_of is not None and comes_back(spec.restart) and (slot.finished or slot.is_undoomed):
                self._emit(ChildRestarting(slot.node.path, trio.current_time(), 0.0, because_of))
            if slot.host is not None:
                if not slot.host.asked:
                    self._timers.clear(slot)  # its start is no longer waited for
                slot.doomed = True
            elif self._stopping:
                self._timers.clear(slot)
                if slot.node.state is State.BACKOFF:
                    slot.node.enter(State.DOWN)
            elif slot.finished and comes_back(spec.restart):
                slot.finished = False
                slot.node.enter(State.DOWN)
        self._condemned = [slot for slot in self._slots if slot.doomed and slot.is_stoppable]

    def _stop_next(self) -> None:
        """Ask the last condemned child to stop, once."""
        while self._condemned:
            slot = self._condemned[-1]
            if slot.is_stoppable:
                self._ask(slot)
                return
            self._condemned.pop()

    def _ask(self, slot: Slot) -> None:
        if slot.host is None or slot.host.asked:
            return
        spec = slot.node.spec
        slot.host.ask_to_stop()
        allowed_s = spec.shutdown_s if isinstance(spec, Child) else spec.stop_budget_s
        self._timers.set(slot, trio.current_time() + allowed_s)

    async def _stop_children(self) -> None:
        self._stopping = True
        self._condemn(self._slots)
        if self._leash is not None and self._leash.has_run_out():
            for slot in reversed(self._condemned):
                self._ask(slot)
        try:
            self._stop_next()
            while self._condemned:
                await self._turn()
                self._stop_next()
        except BaseException:  # a KeyboardInterrupt in here: without order, but nobody is waited for who was not asked
            for slot in self._slots:
                if slot.host is not None:
                    slot.host.insist()
            raise
