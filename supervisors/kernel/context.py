"""What a child is given: who it is, how to say that it is up, how to learn that it shall stop."""

from collections.abc import Callable

import trio

from supervisors.kernel.leash import LeashHandle


class Context:
    """One run of one child, seen from inside."""

    __slots__ = ("_report", "_stand_by", "leash", "name", "stop_requested")

    def __init__(
        self,
        name: str,
        leash: LeashHandle | None,
        report: Callable[[object], None],
        stand_by: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        """The path of the child, for example `titan/stores/database`."""
        self.leash = leash
        """The nearest leash above this child, or None."""
        self.stop_requested = trio.Event()
        """Set when the supervisor asks this child to stop: with `stop="drain"` before, else together with its
        cancellation."""
        self._report = report
        self._stand_by = stand_by

    def standby(self) -> None:
        """Say, before `started`, that the child is well and waits for something that may never come.

        Its start is over: it has no time limit any more, and its supervisor counts as started. The children after it in
        order begin when it says `started`, under a strategy that keeps to the order. Has no effect once the child is
        asked to stop. Raises `RuntimeError` when called twice, or after `started`.
        """
        self._stand_by()

    def started(self, value: object = None) -> None:
        """Say, once per run, that the child is up; the next one in order may start.

        `value` is kept for `Tree.started_value(path)`, for example the port that was bound. Has no effect once the
        child is asked to stop. Raises `RuntimeError` when called twice.
        """
        self._report(value)
