"""How long and how often in an election."""

from collections.abc import Iterator
from dataclasses import dataclass

RENEWALS_PER_TTL = 2
"""A renewal that fails must leave time for another one before the lease ends (as client-go asks of its three times)."""


@dataclass(frozen=True, slots=True)
class Timings:
    """The times of one election, the same on every instance. All seconds."""

    ttl_s: float = 30.0
    """How long a lease holds that is not renewed: a crashed leader is replaced after so long and `jitter_s`."""
    renew_s: float = 10.0
    """How often it is renewed."""

    @property
    def look_s(self) -> float:
        """How often a follower looks whether the lease was let go, and a leader whether it is still its own."""
        return min(0.5, self.renew_s / 2)

    @property
    def jitter_s(self) -> float:
        """A follower waits up to so much longer than the lease holds, so that not all ask at once."""
        return min(0.2, self.ttl_s / 10)

    @property
    def retry_s(self) -> float:
        """How soon a renewal is tried again that got no answer."""
        return min(1.0, self.renew_s / 2)

    @property
    def call_s(self) -> float:
        """How long one question may take."""
        return min(2.0, self.renew_s)

    @property
    def stand_back_s(self) -> float:
        """How long who let go on purpose leaves it to others: each of them has looked at least once by then."""
        return 2 * (self.look_s + self.jitter_s)


def impossible(ttl_s: float, renew_s: float) -> Iterator[str]:
    """Yield why these times cannot work."""
    if ttl_s < RENEWALS_PER_TTL * renew_s:
        yield (
            f"leadership.ttl_s = {ttl_s:g} and leadership.renew_s = {renew_s:g}: a renewal that fails must leave time"
            f" for another before the lease ends, so the lease must be at least {RENEWALS_PER_TTL} renewals long;"
            " raise TITAN_LEADERSHIP__TTL_S or lower TITAN_LEADERSHIP__RENEW_S"
        )
