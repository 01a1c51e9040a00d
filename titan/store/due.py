"""When a leader's task is due: a pure decision by the database's clock, the same for every store."""


def wait_ms(
    now_ms: int, every_ms: int, *, due_ms: int, requested_ms: int | None, started_ms: int | None, is_running: bool
) -> int:
    """Return how long a task still has to wait, 0 where it is due.

    A run that was broken off goes on at once. An interval that was shortened counts from the last start. What would be
    due later than one interval from now was noted before the clock went back, and is due.
    """
    if is_running or requested_ms is not None:
        return 0
    if started_ms is not None:
        due_ms = min(due_ms, started_ms + every_ms)
    left_ms = due_ms - now_ms
    return left_ms if 0 < left_ms <= every_ms else 0
