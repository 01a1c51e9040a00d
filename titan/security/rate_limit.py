"""Counting the requests of each client: in this process, or in Redis for all instances together."""

import time
from collections.abc import Callable
from enum import StrEnum

from titan.http.rate import Verdict
from titan.security.clients import Clients, client_of
from titan.security.quota import Quota


class CountedBy(StrEnum):
    """Who counted a request."""

    LOCAL = "local"


Tell = Callable[[CountedBy, bool], None]
"""Told of each request: who counted it and whether it was granted; must be quick and must not raise."""


class LocalRateLimit:
    """Counts in this process alone: `n` instances grant `n` times as much; a restart forgets."""

    def __init__(
        self, quota: Quota, tell: Tell, *, clock_s: Callable[[], float] = time.monotonic, clients: Clients | None = None
    ) -> None:
        self._quota = quota
        self._tell = tell
        self._clock_s = clock_s
        self._clients = clients or Clients()

    async def ask(self, client: str) -> Verdict | None:
        """Count one request; never waits."""
        return self.count(client_of(client))

    def count(self, client: str) -> Verdict:
        """Count one request of a client as `client_of` names it."""
        now_us = int(self._clock_s() * 1_000_000)
        is_granted, away_us = self._quota.spend(self._clients.whole_at_us(client), now_us)
        self._clients.keep(client, now_us + away_us, now_us)
        self._tell(CountedBy.LOCAL, is_granted)
        return self._quota.verdict(is_granted, away_us)
