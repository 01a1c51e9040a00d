"""One run of one child, in a shielded scope of its own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from supervisors.kernel.context import Context
from supervisors.kernel.errors import LeashRanOut, describe
from supervisors.kernel.events import ActorEvent, ChildExited, ChildStarted
from supervisors.kernel.leash import LeashHandle
from supervisors.kernel.snapshot import Node, State
from supervisors.kernel.spec import Child, Supervisor
from supervisors.kernel.strategy import ExitReason, Restart


@dataclass(frozen=True, slots=True)
class Exit:
    """How one run ended, as its supervisor needs to know it."""

    at: float
    reason: ExitReason
    error: BaseException | None
    up_s: float | None


class Host:
    """Runs a child once, and is the only place that knows how this run is doing.

    State and events change here and at once, in the child's own task; what follows from them is decided by the
    supervisor when it reads the message (`None` for "started" and "on standby", an `Exit` at the end). A child that
    starts and ends without a pause between leaves both messages, in this order.

    The shield keeps every cancellation from outside away from the child: only its supervisor, or a leash, ends it, so
    that children can be stopped one after the other. Whoever hosts must see to it that every host is asked to stop at
    last.
    """

    def __init__(
        self,
        node: Node,
        leash: LeashHandle | None,
        emit: Callable[[ActorEvent], None],
        post: Callable[[Exit | None], None],
    ) -> None:
        self.node = node
        self.context = Context(node.path, leash, self._start, self._stand_by)
        self.asked_at: float | None = None
        self.ended = False
        self._began_at: float | None = None
        self._imposed: Exception | None = None
        self._cut_off = False
        self._scope = trio.CancelScope(shield=True)
        self._emit = emit
        self._post = post
        node.host = self
        node.starts += 1
        node.enter(State.STARTING)

    @property
    def asked(self) -> bool:
        """Whether it was asked to stop."""
        return self.asked_at is not None

    @property
    def is_up(self) -> bool:
        """Whether it started, and was neither asked to stop nor ended."""
        return self._began_at is not None and not self.asked and not self.ended

    @property
    def is_on_standby(self) -> bool:
        """Whether it waits, as it said, with those after it."""
        return self.node.state is State.STANDBY

    def ask_to_stop(self) -> None:
        """Ask for an orderly stop: a child that drains is told, all others, and one that is not up, are cancelled."""
        spec = self.node.spec
        self._cut_off = self._scope.cancel_called  # by a leash, or with an imposed error: not by being asked
        if not (self.is_up and isinstance(spec, Child) and spec.stop == "drain"):
            self._scope.cancel()
        self.asked_at = trio.current_time()
        self.context.stop_requested.set()
        self.node.enter(State.STOPPING)

    def insist(self) -> bool:
        """Cancel a child that still drains; False if it is cancelled already."""
        if self._scope.cancel_called:
            return False
        self._scope.cancel()
        return True

    def impose(self, error: Exception) -> bool:
        """Cancel the child and let its run count as ended by this error; False if there is such an error already."""
        if self._imposed is not None:
            return False
        self._imposed = error
        self._scope.cancel()
        return True

    async def run(self, body: Callable[[Context], Awaitable[None]]) -> None:
        """Run the child to its end and post it. Only what is not an `Exception` is raised again."""
        if self.context.leash is not None:
            self.context.leash.hold(self._scope)
        try:
            with self._scope:
                await body(self.context)
        except Exception as error:  # noqa: BLE001 - the border of the actor: its supervisor decides
            self._end(error)
        except BaseException as error:
            self._end(error)
            raise
        else:
            self._end(None)

    def _stand_by(self) -> None:
        if self._began_at is not None or self.is_on_standby:
            raise RuntimeError(f"{self.node.path} called ctx.standby() twice, or after ctx.started()")
        if not self._is_leaving:
            self.node.enter(State.STANDBY)
            self._post(None)

    @property
    def _is_leaving(self) -> bool:
        return self.asked or self.ended or self._imposed is not None

    def _start(self, value: object) -> None:
        if self._began_at is not None:
            raise RuntimeError(f"{self.node.path} called ctx.started() twice")
        if self._is_leaving:
            return
        self._began_at = trio.current_time()
        self.node.value = value
        self.node.enter(State.RUNNING)
        self._post(None)  # first: it is read later, and must be there even if a callback breaks out of here
        self._emit(ChildStarted(self.node.path, self._began_at, self.node.restarts))

    def _end(self, raised: BaseException | None) -> None:
        error = _join(self._imposed, raised)
        reason = self._reason(error)
        if reason is ExitReason.RETURNED and self._began_at is None and self.node.spec.restart is not Restart.PERMANENT:
            self._start(None)  # work that is done is work that was started
        self.ended = True
        if self.context.leash is not None:
            self.context.leash.let_go(self._scope)
        now = trio.current_time()
        up_s = None if self._began_at is None else now - self._began_at
        self.node.host = None
        self.node.enter(State.DOWN)
        if error is not None:
            self.node.last_error = describe(error)
        asked = self.asked and not self._cut_off
        self._post(Exit(now, reason, error, up_s))
        self._emit(ChildExited(self.node.path, now, reason, error, asked, up_s))

    def _reason(self, error: BaseException | None) -> ExitReason:
        if isinstance(error, LeashRanOut) and isinstance(self.node.spec, Supervisor):
            return ExitReason.LEASH
        if error is not None:
            return ExitReason.FAILED
        if self.asked and not self._cut_off:
            return ExitReason.STOPPED
        return ExitReason.LEASH if self._cut_off or self._scope.cancelled_caught else ExitReason.RETURNED


def _join(imposed: Exception | None, raised: BaseException | None) -> BaseException | None:
    """Keep both: why the kernel ended the child, and what it raised on its way out."""
    if imposed is None or raised is None:
        return imposed or raised
    return BaseExceptionGroup("ended by its supervisor, and failed while it stopped", [imposed, raised])
