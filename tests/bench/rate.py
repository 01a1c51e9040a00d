"""What the rate limit costs a hot GET, counted in the process and counted in Redis."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.bench import http, postgres
from tests.bench.figures import Figure, Run
from tests.support.redis import running_redis
from tests.support.server import serving
from titan.security.quota import MAX_PER_MINUTE

LIMIT = {"TITAN_SECURITY__REQUESTS_PER_MINUTE": str(MAX_PER_MINUTE)}
"""More than any client of this benchmark sends: each request is counted and none refused."""


def measure(run: Run) -> Iterator[Figure]:
    """Let an instance with and one without a limit take turns, on either store."""
    yield _compared(run, "in the process", {}, 0.85)
    redis = run.closing.enter_context(running_redis())
    shared = {"DATABASE_URL": postgres.database(run), "REDIS_URL": redis.url()}
    yield _compared(run, "in Redis", shared, 0.4)


def _compared(run: Run, where: str, settings: Mapping[str, str], target: float) -> Figure:
    folder = run.folder / where.replace(" ", "-")
    free = run.closing.enter_context(serving(folder / "free", settings=settings))
    limited = run.closing.enter_context(serving(folder / "limited", settings={**settings, **LIMIT}))
    url = http.create(free.url, http.HOT)
    limited_url = url.replace(free.url, limited.url) if settings else http.create(limited.url, http.HOT)
    with_it, without = [], []
    for turn in range(run.rounds):
        run.say(f"counted {where}: turn {turn + 1} of {run.rounds}")
        without.append(http.rate(url, run.seconds))
        with_it.append(http.rate(limited_url, run.seconds))
    name = f"hot GET of 4 KB, 32 clients, counted {where}"
    return replace(http.ratio(name, with_it, without, "× without a limit", target), section="rate")
