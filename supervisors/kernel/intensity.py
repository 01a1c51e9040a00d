"""How many exits a supervisor accepts in a moving window, exactly."""

from collections import deque
from dataclasses import dataclass

from supervisors.kernel.checks import require_positive
from supervisors.kernel.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Intensity:
    """At most `max_restarts` restarts within `within_s` seconds; the exit that asks for one more is the last.

    An exit at time t is in the window until, and not including, t + `within_s`. 0 restarts: the first exit is the last.
    The defaults outlast the crash loops of three levels of supervisors with default back-off.
    """

    max_restarts: int = 5
    within_s: float = 60.0

    def __post_init__(self) -> None:
        require_positive("Intensity", within_s=self.within_s)
        if self.max_restarts < 0:
            raise SpecError(f"Intensity: max_restarts={self.max_restarts} must not be negative")


class Window:
    """The exits of one supervisor's children that still count, oldest first."""

    def __init__(self, intensity: Intensity) -> None:
        self._intensity = intensity
        self._exits: deque[tuple[float, Exception]] = deque()

    def admits(self, at: float, error: Exception) -> bool:
        """Count an exit at time `at` (never before an earlier one) and say whether its restart is still allowed."""
        while self._exits and at - self._exits[0][0] >= self._intensity.within_s:
            self._exits.popleft()
        self._exits.append((at, error))
        return len(self._exits) <= self._intensity.max_restarts

    @property
    def errors(self) -> list[Exception]:
        """What the counted exits raised, oldest first."""
        return [error for _, error in self._exits]
