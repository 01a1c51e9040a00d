"""Full-jitter exponential back-off as plain functions: which delay, how long at most, when it starts anew."""

import random
from dataclasses import dataclass

from supervisors.kernel.checks import require_not_negative, require_positive
from supervisors.kernel.errors import SpecError

# 2.0 ** 1024 overflows. From here on every delay is `cap_s` for any `base_s` that is not denormal.
_LARGEST_EXPONENT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long a crashed child waits before it is started again.

    The n-th restart in a row (n from 0) waits for a time drawn evenly from 0 to `min(cap_s, base_s * 2**n)` seconds.
    A child that was up for at least `healthy_s` seconds before it ended starts again at n = 0.
    """

    base_s: float = 0.05
    cap_s: float = 1.0
    healthy_s: float = 10.0

    def __post_init__(self) -> None:
        require_not_negative("Backoff", base_s=self.base_s, healthy_s=self.healthy_s)
        require_positive("Backoff", cap_s=self.cap_s)
        if self.base_s > self.cap_s:
            raise SpecError(f"Backoff: base_s={self.base_s:g} is above cap_s={self.cap_s:g}")


def longest_delay_s(backoff: Backoff, attempt: int) -> float:
    """Give the upper bound of the delay before restart number `attempt` in a row, counted from 0."""
    return min(backoff.cap_s, backoff.base_s * 2.0 ** min(attempt, _LARGEST_EXPONENT))


def draw_delay_s(backoff: Backoff, attempt: int, rng: random.Random) -> float:
    """Draw the delay before restart number `attempt` in a row: full jitter, 0 included."""
    return rng.uniform(0.0, longest_delay_s(backoff, attempt))


def attempt_after(backoff: Backoff, attempt: int, up_s: float | None) -> int:
    """Forget the restarts in a row if the child was up for a healthy spell; `up_s` is None if it never was."""
    return 0 if up_s is not None and up_s >= backoff.healthy_s else attempt


def longest_total_s(backoff: Backoff, restarts: int) -> float:
    """Add up the longest delays of the first `restarts` restarts in a row."""
    return sum(longest_delay_s(backoff, attempt) for attempt in range(restarts))
