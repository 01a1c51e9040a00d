"""What logs and metrics are told of the leader's tasks."""

from collections.abc import Callable

from titan.telemetry.log import Log


class TaskTelemetry:
    """One line for each run that ended, and its place in the metrics (`count`: task, outcome, how long it took)."""

    def __init__(self, log: Log, count: Callable[[str, str, float], None]) -> None:
        self._log = log
        self._count = count

    def begun(self, task: str, *, is_resumed: bool) -> None:
        """Say that a run began; loudly where an earlier one was broken off."""
        tell: Callable[..., object] = self._log.warning if is_resumed else self._log.debug
        tell("task begun", task=task, resumed=is_resumed)

    def ended(self, task: str, outcome: str, detail: str, *, took_s: float) -> None:
        """Say how it ended, once that is noted in the store."""
        self._count(task, outcome, took_s)
        tell: Callable[..., object] = self._log.info if outcome == "succeeded" else self._log.error
        tell("task ended", task=task, outcome=outcome, detail=detail, took_s=round(took_s, 3))

    def broke(self, task: str, error: Exception) -> None:
        """Say that it ended with an error that it did not expect."""
        self._log.error("task broke", task=task, exc_info=error)
