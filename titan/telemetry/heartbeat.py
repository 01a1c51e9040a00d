"""Is the event loop alive, and how late is it: a beat every half second, on trio's clock."""

from collections import deque

import trio

INTERVAL_S = 0.5

MAX_AGE_S = 5.0
"""An older beat means that the process does not live: it is to be restarted."""

WINDOW_BEATS = 30
"""The worst lag is that of the last 15 s, which is what a scraper that comes every 15 s has not seen yet."""


class Heartbeat:
    """Beats while `run` runs. All is for the loop's own thread; a blocked loop shows by not answering at all."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._last_beat: float | None = None
        self._lags_s: deque[float] = deque(maxlen=WINDOW_BEATS)

    async def run(self) -> None:
        """Beat until cancelled. A loop that was blocked is late once, it does not make up for beats that it missed."""
        while True:
            due = trio.current_time() + self._interval_s
            self._last_beat = trio.current_time()
            await trio.sleep_until(due)
            self._lags_s.append(max(0.0, trio.current_time() - due))

    @property
    def lag_s(self) -> float:
        """The worst lateness of the last `WINDOW_BEATS` beats: how long a ready task had to wait for its turn."""
        return max(self._lags_s, default=0.0)

    def is_fresh(self, max_age_s: float = MAX_AGE_S) -> bool:
        """Say whether the last beat is at most so old; False before the first."""
        return self._last_beat is not None and trio.current_time() - self._last_beat <= max_age_s
