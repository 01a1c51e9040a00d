"""One instance's rate limit over an opened Redis, and what it told."""

from collections import Counter
from dataclasses import dataclass, field

from tests.support.redis_client import OpenedRedis
from titan.security.quota import Quota
from titan.security.rate_limit import KEYS, CountedBy, LocalRateLimit, SharedRateLimit

CLIENT = "192.0.2.1"
KEY = KEYS + CLIENT


@dataclass
class Limited:
    """One instance's rate limit and what it told."""

    redis: OpenedRedis
    limit: SharedRateLimit
    counted: Counter[tuple[str, bool]] = field(default_factory=Counter)
    notices: list[str] = field(default_factory=list)
    now_s: float = 100.0

    async def granted(self, requests: int, client: str = CLIENT) -> int:
        """Send so many; return how many passed."""
        verdicts = [await self.limit.ask(client) for _ in range(requests)]
        return sum(verdict is None or verdict.is_granted for verdict in verdicts)


def made(redis: OpenedRedis, per_minute: int, *, local: bool = False) -> Limited:
    quota = Quota(per_minute)
    counted: Counter[tuple[str, bool]] = Counter()
    notices: list[str] = []

    def tell(counted_by: CountedBy, is_granted: bool) -> None:  # noqa: FBT001  (a plain callable of two words)
        counted[counted_by.value, is_granted] += 1

    limit = SharedRateLimit(
        quota,
        redis.redis,
        tell,
        otherwise=LocalRateLimit(quota, tell) if local else None,
        on_refused=notices.append,
        clock_s=lambda: it.now_s,
    )
    it = Limited(redis, limit, counted, notices)
    return it
