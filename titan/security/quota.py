"""How many requests are granted to one client: the arithmetic, without clock, table or network (ADR 0019).

Not guaranteed: at most `per_minute` in every minute. A client that was silent has a minute's worth at once, and after
it one more each `interval_us`: in any `t` seconds at most `per_minute * (1 + t / 60)` are granted.
"""

from titan.http.rate import Verdict

MINUTE_US = 60_000_000
MAX_PER_MINUTE = 1_000_000
LONGEST_US = MINUTE_US + MAX_PER_MINUTE
"""No quota takes longer to be whole again: a minute, and what rounding adds to each interval."""


class Quota:
    """The generic cell rate algorithm, in whole microseconds.

    Of each client one number is kept: when its quota will be whole again. A request is granted where that moment,
    moved on by one interval, is at most `burst_us` away.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self.interval_us = -(-MINUTE_US // per_minute)  # rounded up: never more than was asked for
        self.burst_us = self.interval_us * per_minute

    def spend(self, whole_at_us: int, now_us: int) -> tuple[bool, int]:
        """Say whether one more request is granted, and in how many microseconds the quota is whole after that."""
        away_us = max(0, whole_at_us - now_us)
        if away_us + self.interval_us > self.burst_us:
            return False, away_us
        return True, away_us + self.interval_us

    def verdict(self, is_granted: bool, away_us: int) -> Verdict:  # noqa: FBT001  (it is what `spend` returned)
        """Put what `spend` returned into the words of the answer."""
        remaining = max(0, self.burst_us - away_us) // self.interval_us
        next_us = away_us - (self.burst_us - (remaining + 1) * self.interval_us)
        return Verdict(is_granted, self.per_minute, remaining, next_us / 1_000_000)
