"""How far a replica is behind its primary, by our own clock.

The primary is asked every half second how far it has written its log; a replica is asked how far it has replayed it.
What the primary had written when it was asked at a certain time is what everything committed before that time is in.
So of a server that has replayed as much it is known, whatever the clocks of servers say, that it shows everything from
before that time. (Rejected: `pg_last_xact_replay_timestamp()`, which compares two machines' clocks and grows where
nothing is written.)

Positions of two histories cannot be compared: after a fail-over a replica of the lost primary may have replayed *more*
than the new one has written, and not what that wrote. Hence the `Origin`, which a replica has to show as well.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

RECENT_S = 1.0
"""How much may be missing from an answer (architecture 4.5), whatever lag is tolerated before readiness names it."""

UNKNOWN_S = 2.0
"""With no newer word from the primary nothing is known of the lag."""

KEPT = 4096
"""Half an hour of a primary that is always written to; of a replica that is further behind at least that is said."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose log it is: a cluster, its database, and what tells this history from others that began alike."""

    system: int
    database: int
    lineage: str


@dataclass(slots=True)
class _Written:
    """A position of the primary: when it was first found there and when last, both before it was asked."""

    written: int
    committed: int
    first_at: float
    last_at: float


class Lag:
    """What is known of the primary and of its replica. Written by the island's thread; the properties by any."""

    def __init__(self, *, recent_s: float = RECENT_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.origin: Origin | None = None
        """None as long as the primary has not said it."""
        self._recent_s = recent_s
        self._clock = clock
        self._samples: deque[_Written] = deque(maxlen=KEPT)
        self._replayed: int | None = None
        self._newest_at = -math.inf
        self._recent_until = -math.inf
        self._missing_since: float | None = None

    def now(self) -> float:
        """Return the time that `asked_at` is told in."""
        return self._clock()

    def wrote(self, origin: Origin | None, asked_at: float, written: int, committed: int) -> None:
        """Know that the primary, asked then, had written so much, all that was committed being within `committed`."""
        if origin != self.origin:
            self.origin = origin
            self._samples.clear()
            self.lost()
        last = self._samples[-1] if self._samples else None
        if last is not None and (last.written, last.committed) == (written, committed):
            last.last_at = asked_at
        else:
            self._samples.append(_Written(written, committed, asked_at, asked_at))
        self._newest_at = asked_at
        self._judge()

    def replayed(self, position: int) -> None:
        """Know that the replica has replayed so much."""
        self._replayed = position
        self._judge()

    def lost(self) -> None:
        """Know nothing of the replica any more."""
        self._replayed = None
        self._judge()

    def is_recent(self, replayed: int | None) -> bool:
        """Say whether a server that has replayed so much lacks nothing of before `recent_s` ago."""
        return self._clock() <= self._until(replayed)

    @property
    def is_near(self) -> bool:
        """Say the same of the replica as it was when it was last asked; from any thread."""
        return self._clock() <= self._recent_until

    @property
    def behind_s(self) -> float | None:
        """For how long the replica has lacked something that the primary had; None while it is not known."""
        now, since = self._clock(), self._missing_since
        if self._replayed is None or now - self._newest_at > UNKNOWN_S:
            return None
        return 0.0 if since is None else max(0.0, now - since)

    def _judge(self) -> None:
        self._recent_until = self._until(self._replayed)
        missing = None
        if self._replayed is not None:
            for sample in reversed(self._samples):
                if sample.written <= self._replayed:
                    break
                missing = sample.first_at
        self._missing_since = missing

    def _until(self, replayed: int | None) -> float:
        if replayed is not None:
            for sample in reversed(self._samples):
                if sample.committed <= replayed:
                    return sample.last_at + self._recent_s
                if sample.first_at + self._recent_s < self._clock():
                    break  # what is older proves nothing any more
        return -math.inf
