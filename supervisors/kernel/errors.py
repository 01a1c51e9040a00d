"""What can leave a tree, and what counts as an exit that a child did not raise itself.

Every class keeps its cause (`__cause__`) whole: an exception group stays a group, and a chain of supervisors that gave
up is a chain of causes down to what the children raised.
"""

from collections.abc import Iterator, Sequence

_LONGEST_TEXT_CHARS = 200


class SpecError(ValueError):
    """A specification that can never work; the message names every value that disagrees. Raised at construction."""


class GiveUp(Exception):
    """A supervisor's children ended more often than its intensity allows.

    `path` names the supervisor. The cause is an `ExceptionGroup` of every exit that was counted in the window, oldest
    first. A parent supervisor treats it as the crash of a child; at the root it leaves the tree.
    """

    def __init__(self, path: str, limit: str, exits: Sequence[Exception]) -> None:
        told = f"{len(exits)} exits, {limit}"
        super().__init__(f"{path} gave up: {told}; the last: {describe(exits[-1])}")
        self.path = path
        self.__cause__ = ExceptionGroup(told, exits)


class FirstStartFailed(Exception):
    """A child ended, or stayed silent for `start_s`, before its first `ctx.started()`.

    `path` names the child. The cause is what it raised; for a supervisor it is again a `FirstStartFailed`.
    """

    def __init__(self, path: str, reason: BaseException) -> None:
        super().__init__(f"{path} did not start: {describe(reason)}")
        self.path = path
        self.__cause__ = reason

    @property
    def origin(self) -> "FirstStartFailed":
        """The failure of the child itself, below all supervisors that failed because of it."""
        *_, deepest = self._chain()
        return deepest

    def _chain(self) -> Iterator["FirstStartFailed"]:
        link: BaseException | None = self
        while isinstance(link, FirstStartFailed):
            yield link
            link = link.__cause__


class LeashRanOut(Exception):
    """A supervisor ended because its leash ran out: the end of a term, not a crash, and never counted as one."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is at the end of its leash")
        self.path = path


class StartTimedOut(Exception):
    """A child did not call `ctx.started()` within its `start_s`; it was stopped."""

    def __init__(self, path: str, start_s: float) -> None:
        super().__init__(f"{path} did not call ctx.started() within start_s={start_s:g}")


class UnexpectedReturn(Exception):
    """A permanent child returned although nobody asked it to stop."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is permanent but returned")


class FatalExit(Exception):
    """A child raised something that no supervisor may handle (not an `Exception`); it is the cause.

    `KeyboardInterrupt` and `SystemExit` leave the tree themselves, so this is seen only for a stray `Cancelled`: one
    that a child raised outside the scope that it belonged to, which trio takes for the end of the supervisor's
    nursery.
    """

    def __init__(self, path: str, error: BaseException) -> None:
        super().__init__(f"a child of {path} raised what no supervisor may handle: {describe(error)}")
        self.__cause__ = error


def describe(error: BaseException) -> str:
    """Put type and first line of an exception into one short line.

    Of a group: those of its first leaf, and how many more there are.
    """
    leaf, others = error, 0
    while isinstance(leaf, BaseExceptionGroup):
        others += len(leaf.exceptions) - 1
        leaf = leaf.exceptions[0]
    line = f"{type(leaf).__name__}: {_first_line(leaf)}".removesuffix(": ")[:_LONGEST_TEXT_CHARS]
    return f"{line} (and {others} more)" if others else line


def _first_line(error: BaseException) -> str:
    try:
        return str(error).strip().partition("\n")[0]
    except Exception:  # noqa: BLE001 - a broken __str__ must not crash the reporter of a crash
        return "(its text cannot be read)"
