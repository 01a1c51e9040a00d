"""Counting the requests of each client: in this process, or in Redis for all instances together (ADR 0019)."""

import time
from collections.abc import Callable
from enum import StrEnum

from titan.http.rate import Verdict
from titan.redis.client import Redis
from titan.redis.contract import Commands, RedisAway, RedisRefused, Script
from titan.security.clients import Clients, client_of
from titan.security.quota import Quota

KEYS = "titan:rate:"

SPEND = Script("""\
local clock = redis.call('TIME')
local now, interval, burst = clock[1] * 1000000 + clock[2], tonumber(ARGV[1]), tonumber(ARGV[2])
local whole = tonumber(redis.pcall('GET', KEYS[1]))
if not (whole and whole > now and whole <= now + 2 * burst) then whole = now end
local away = whole - now + interval
if away > burst then return {0, whole - now} end
redis.call('SET', KEYS[1], string.format('%.0f', now + away), 'PX', math.ceil(away / 1000))
return {1, away}
""")
"""`Quota.spend` on the one key of a client, by the clock of Redis, which all instances share.

What lies there and cannot be ours counts as nothing and is overwritten. A moment too far ahead is among it, or else a
client could be kept out for ever; up to a minute more is believed, because the clock of a server that took over may be
behind. The key ends when the quota is whole."""

NOTICE_EVERY_S = 60.0


class CountedBy(StrEnum):
    """Who counted a request."""

    REDIS = "redis"
    LOCAL = "local"
    NOBODY = "nobody"


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


class SharedRateLimit:
    """Counts in Redis, for all instances that use the same one.

    Not guaranteed: that counts outlive Redis. While it is away or refuses, requests are counted by `otherwise`, or pass
    uncounted where that is None; a Redis that lost its keys begins at zero. An answer of Redis that was lost may have
    counted. Waits no longer than a call of Redis may take, and not at all while it is known to be away.
    """

    def __init__(
        self,
        quota: Quota,
        redis: Redis,
        tell: Tell,
        *,
        otherwise: LocalRateLimit | None,
        on_refused: Callable[[str], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quota = quota
        self._redis = redis
        self._tell = tell
        self._otherwise = otherwise
        self._on_refused = on_refused
        self._clock_s = clock_s
        self._next_notice_s = 0.0

    async def ask(self, client: str) -> Verdict | None:
        """Count one request."""
        name = client_of(client)
        try:
            is_granted, away_us = await self._redis.run(_spend, KEYS + name, self._quota)
        except RedisAway:  # told of by the check `redis`
            return self._uncounted(name)
        except RedisRefused as refused:
            self._notice(refused.reason)
            return self._uncounted(name)
        self._tell(CountedBy.REDIS, is_granted)
        return self._quota.verdict(is_granted, away_us)

    def _uncounted(self, name: str) -> Verdict | None:
        if self._otherwise is not None:
            return self._otherwise.count(name)
        self._tell(CountedBy.NOBODY, True)
        return None

    def _notice(self, reason: str) -> None:
        now_s = self._clock_s()
        if now_s >= self._next_notice_s:
            self._next_notice_s = now_s + NOTICE_EVERY_S
            self._on_refused(reason)


async def _spend(commands: Commands, key: str, quota: Quota) -> tuple[bool, int]:
    granted, away_us = await commands.run_script(SPEND, key, quota.interval_us, quota.burst_us)
    return granted == 1, away_us
