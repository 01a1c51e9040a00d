"""What the events of a tree must obey, worked out from the specification alone; uses none of the kernel's decisions."""

from collections import defaultdict
from dataclasses import dataclass, field

import trio

from supervisors.kernel import (
    ActorEvent,
    Child,
    ChildExited,
    ChildRestarting,
    ChildStarted,
    ExitReason,
    GaveUp,
    GiveUp,
    Restart,
    StopTooSlow,
    Strategy,
    Supervisor,
    UnexpectedReturn,
)


@dataclass
class Run:
    """What is known of one run of a supervisor."""

    counted: list[ChildExited] = field(default_factory=list)
    """Exits that count towards the intensity, in the order in which they happened."""
    undecided: set[str] = field(default_factory=set)
    """Children whose exit asks for a restart that was not announced yet."""
    begun: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    condemned: set[str] = field(default_factory=set)
    due: dict[str, float] = field(default_factory=dict)
    gave_up: GiveUp | None = None
    ending: bool = False
    """It gave up, failed its first start, or was made to fail: nothing counts any more."""


class Oracle:
    """Follows the events and collects what is wrong in `failures`."""

    def __init__(self, root: Supervisor) -> None:
        self.failures: list[str] = []
        self.events: list[ActorEvent] = []
        self.specs: dict[str, Child | Supervisor] = {}
        self.runs: dict[str, Run] = defaultdict(Run)
        self.up: set[str] = set()
        self.stuck: set[str] = set()
        self.last_exit: dict[str, ChildExited] = {}
        self.leash_ends: dict[str, float] = {}
        """When the leash of a supervisor's present run ends, as told by whoever extends it."""
        self._index(root, "")

    def _index(self, spec: Child | Supervisor, above: str) -> None:
        path = f"{above}{spec.name}"
        self.specs[path] = spec
        for child in self.children(path):
            self._index(child, f"{path}/")

    def children(self, path: str) -> tuple[Child | Supervisor, ...]:
        spec = self.specs[path]
        return spec.children if isinstance(spec, Supervisor) else ()

    def supervisor(self, path: str) -> Supervisor:
        spec = self.specs[path]
        assert isinstance(spec, Supervisor)
        return spec

    def siblings(self, path: str) -> tuple[list[str], list[str]]:
        """Paths before and after this one in its supervisor's order."""
        above = path.rpartition("/")[0]
        paths = [f"{above}/{child.name}" for child in self.children(above)]
        index = paths.index(path)
        return paths[:index], paths[index + 1 :]

    def expect(self, truth: object, complaint: str) -> None:
        if not truth:
            self.failures.append(f"t={trio.current_time()}: {complaint}")

    def leash_is_out(self, path: str) -> bool:
        """Whether the leash of this supervisor, or of one above, has run out."""
        now = trio.current_time()
        return any(end <= now and f"{path}/".startswith(f"{s}/") for s, end in self.leash_ends.items())

    def is_ending(self, path: str) -> bool:
        return self.runs[path].ending or self.leash_is_out(path)

    def in_window(self, path: str, last: int) -> list[ChildExited]:
        """The exits that count when the one at position `last` is decided upon; it is the last of them."""
        counted = self.runs[path].counted
        within_s = self.supervisor(path).intensity.within_s
        return [exit_ for exit_ in counted[: last + 1] if counted[last].at - exit_.at < within_s]

    # --- events ---

    def on_event(self, event: ActorEvent) -> None:
        self.events.append(event)
        match event:
            case ChildStarted(path):
                self.up.add(path)
                if "/" in path:
                    run = self.runs[path.rpartition("/")[0]]
                    run.begun.add(path)
                    run.due.pop(path, None)
            case ChildExited():
                self._on_exit(event)
            case ChildRestarting():
                self._on_restarting(event)
            case GaveUp():
                self._on_give_up(event)
            case StopTooSlow(path):
                self.expect(path in self.specs and path not in self.stuck, f"{path} too slow twice")
                self.stuck.add(path)

    def _on_exit(self, event: ChildExited) -> None:
        path = event.path
        self.last_exit[path] = event
        self.up.discard(path)
        self.stuck.discard(path)
        own_leash_is_out = self.leash_is_out(path)
        if (gave_up := self.runs.pop(path, Run()).gave_up) is not None:
            self.expect(gave_up in flat(event.error), f"{path} gave up but ended with {event.error!r}")
        self.leash_ends.pop(path, None)
        above = path.rpartition("/")[0]
        if not above:
            return
        if event.reason is ExitReason.LEASH:
            self.expect(own_leash_is_out or self.leash_is_out(above), f"{path} was ended by a leash that holds")
        run, spec = self.runs[above], self.specs[path]
        expected = event.asked or path in run.condemned
        run.condemned.discard(path)
        if expected or self.is_ending(above):
            if path in run.begun and spec.restart is Restart.TEMPORARY:
                run.finished.add(path)
        elif path not in run.begun:
            run.ending = True  # its first start failed
        elif spec.restart is Restart.PERMANENT or (
            spec.restart is Restart.TRANSIENT and event.reason is ExitReason.FAILED
        ):
            run.undecided.add(path)
            if event.reason is not ExitReason.LEASH:
                run.counted.append(event)
        else:
            run.finished.add(path)

    def _on_restarting(self, event: ChildRestarting) -> None:
        path, above = event.path, event.path.rpartition("/")[0]
        run = self.runs[above]
        self.expect(self.specs[path].restart is not Restart.TEMPORARY, f"{path} is temporary and comes back")
        if path == event.because_of:
            self.expect(path in run.undecided, f"{path} restarts for no reason")
            run.undecided.discard(path)
            run.due[path] = event.at + event.delay_s
            self._expect_within_limit(path, above)
            return
        before, after = self.siblings(event.because_of)
        strategy = self.supervisor(above).strategy
        fate = after if strategy is Strategy.REST_FOR_ONE else before + after
        self.expect(strategy is not Strategy.ONE_FOR_ONE and path in fate, f"{path} shares no fate")
        if path in run.undecided:  # it ended in the same tick: one restart is enough, and one is counted
            run.undecided.discard(path)
            if self.last_exit[path] in run.counted:
                run.counted.remove(self.last_exit[path])
        elif path in run.finished:
            run.finished.discard(path)
        else:
            self.expect(path not in run.condemned, f"{path} is told twice that it comes back")
            run.condemned.add(path)

    def _expect_within_limit(self, path: str, above: str) -> None:
        exit_, counted = self.last_exit[path], self.runs[above].counted
        if exit_ in counted:  # the end of a term does not count
            inside = self.in_window(above, counted.index(exit_))
            self.expect(len(inside) <= self.supervisor(above).intensity.max_restarts, f"{above} had to give up")

    def _on_give_up(self, event: GaveUp) -> None:
        path = event.path
        run, limit = self.runs[path], self.supervisor(path).intensity.max_restarts
        # Exits of the same tick may have happened after the one that was too many; then it is not the last.
        now = [index for index, exit_ in enumerate(run.counted) if exit_.at == event.at]
        inside = next((found for index in now if len(found := self.in_window(path, index)) == limit + 1), [])
        self.expect(inside, f"{path} gave up, {limit} restarts allowed, counted {run.counted}")
        group = event.error.__cause__
        kept = list(group.exceptions) if isinstance(group, ExceptionGroup) else []
        self.expect(len(kept) == len(inside), f"{path} gave up with {len(kept)} causes for {len(inside)} exits")
        for cause, exit_ in zip(kept, inside, strict=False):
            same = cause is exit_.error if exit_.error else isinstance(cause, UnexpectedReturn)
            self.expect(same, f"{path} lost {exit_.error!r}")
        run.gave_up, run.ending = event.error, True
        run.undecided.clear()


def flat(error: BaseException | None) -> list[BaseException]:
    """The exceptions in a group, or the one."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in flat(one)]
    return [] if error is None else [error]
