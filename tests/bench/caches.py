"""Reads from memory and from Redis against Q, how soon a write is seen elsewhere, what a frozen Redis costs."""

import http.client
import statistics
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import http as http_section
from tests.bench import load, postgres, processes, twins
from tests.bench.figures import Figure, Run, Unmeasurable, at_least, at_most, number
from tests.support.redis import RedisServer, running_redis
from tests.support.server import Server, serving
from tests.support.traffic import traffic

WRITES = 100
"""How many writes are waited for at the other instance, with Redis and without."""

FEW = 4
"""Clients where it is answers that are timed, not a rate."""

DOCUMENTS = 10_000


def measure(run: Run) -> Iterator[Figure]:
    """Three instances over one database and one Redis; the third one keeps nothing in its memory."""
    database = postgres.database(run)
    redis = run.closing.enter_context(running_redis())
    settings = {"DATABASE_URL": database, "REDIS_URL": redis.url()}
    first, second, forgetful = (
        run.closing.enter_context(serving(run.folder / name, settings=settings | more))
        for name, more in (("a", {}), ("b", {}), ("c", {"TITAN_CACHE__MEMORY_BYTES": "0"}))
    )
    q_url = run.closing.enter_context(processes.yardstick(http_section.SIZE))
    ids = postgres.create_twins(first.url)
    script = postgres.request_script("GET", ids)
    hot = http_section.create(first.url, http_section.HOT)
    seen: defaultdict[str, list[float]] = defaultdict(list)
    for turn in range(run.rounds):
        run.say(f"turn {turn + 1} of {run.rounds}")
        seen["q"].append(http_section.rate(q_url, run.seconds))
        seen["memory"].append(http_section.rate(hot, run.seconds))
        seen["redis"].append(http_section.rate(forgetful.url, run.seconds, script=script))
    yield ratio("Hot GET from this process' memory, 32 clients", seen, "memory", 0.7)
    yield ratio("GET from Redis, 1,000 twins, 32 clients", seen, "redis", None)
    yield from seen_elsewhere(run, first, second, redis)
    yield frozen(run, forgetful, script, redis)
    yield memory(run, database)


def ratio(name: str, seen: "defaultdict[str, list[float]]", ours: str, target: float | None) -> Figure:
    """Return the median of the turns' ratios to Q."""
    ratios = [a / b for a, b in zip(seen[ours], seen["q"], strict=True)]
    detail = f"{number(statistics.median(seen[ours]))}/s against {number(statistics.median(seen['q']))}/s"
    return Figure(
        "caches", name, statistics.median(ratios), "× Q", None if target is None else at_least(target), detail
    )


def seen_elsewhere(run: Run, writer: Server, reader: Server, redis: RedisServer) -> Iterator[Figure]:
    """Time from a write's answer at one instance to a plain read that shows it at the other, which has it cached."""
    run.say("writing here, reading there")
    yield from told("A write seen by the other instance", delays_s(writer, reader))
    redis.kill()
    run.say("the same without Redis")
    try:
        yield from told("the same with Redis stopped", delays_s(writer, reader))
    finally:
        redis.start()


def told(name: str, delays: list[float]) -> Iterator[Figure]:
    """Yield the median and the 99th percentile."""
    cuts = statistics.quantiles(delays, n=100)
    yield Figure("caches", f"{name}, p50", cuts[49] * 1000, "ms", None, f"{len(delays)} writes")
    yield Figure("caches", f"{name}, p99", cuts[98] * 1000, "ms", at_most(1000), f"max {number(max(delays) * 1000)} ms")


def delays_s(writer: Server, reader: Server) -> list[float]:
    """Write and wait, again and again."""
    here, there = (http.client.HTTPConnection("127.0.0.1", server.port, timeout=5) for server in (writer, reader))
    document_id = f"urn:bench:seen:{uuid.uuid4()}"
    path = urlsplit(http_section.create(writer.url, document_id)).path
    document = twins.submodel(document_id, http_section.SIZE)
    ask(there, "GET", path)
    delays = []
    for number_of_write in range(WRITES):
        value = b'"category":"%d","idShort"' % number_of_write
        tag = ask(here, "PUT", path, document.replace(b'"idShort"', value, 1))
        written_s = time.monotonic()
        while ask(there, "GET", path) != tag:
            pass
        delays.append(time.monotonic() - written_s)
    here.close()
    there.close()
    return delays


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> str:
    """Send one request; return the entity tag of its answer."""
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    answer.read()
    if answer.status not in {200, 204}:
        raise Unmeasurable(f"{method} was answered with {answer.status}")
    return answer.headers["ETag"] or ""


def frozen(run: Run, server: Server, script: Path, redis: RedisServer) -> Figure:
    """Compare answers that would come from Redis while it is well and while it is frozen, its first second included."""
    run.say("freezing Redis")

    def median_ms() -> float:
        seen = load.run(server.url, connections=FEW, seconds=max(run.seconds, 3), script=script)
        http_section.clean(seen)
        return seen.p50_s * 1000

    well_ms = median_ms()
    redis.freeze()
    try:
        frozen_ms = median_ms()
    finally:
        redis.thaw()
    detail = f"{number(well_ms)} ms with it, {number(frozen_ms)} ms while it is frozen, {FEW} clients"
    return Figure("caches", "What a frozen Redis costs, p50", max(0.0, frozen_ms - well_ms), "ms", at_most(5), detail)


def memory(run: Run, database: str) -> Figure:
    """Measure what 10,000 documents of 4 KB in the cache take; a second instance without a cache is the control."""
    run.say(f"posting {DOCUMENTS:,} documents, with a cache and without")
    grown = []
    for room in (str(256 << 20), "0"):
        settings = {"DATABASE_URL": database, "TITAN_CACHE__MEMORY_BYTES": room}
        with serving(run.folder / f"memory-{room}", settings=settings) as server:
            before = processes.pss_mb(processes.tree(server.pid))
            with traffic(server.url, clients=8, methods=("POST",)) as sent:
                sent.wait_for(DOCUMENTS, timeout_s=240)
            if lost := sent.lost():
                raise Unmeasurable(f"{len(lost)} requests failed, the first: {lost[0]}")
            grown.append(processes.pss_mb(processes.tree(server.pid)) - before)
    detail = f"{number(grown[0])} MB more than before, {number(grown[1])} MB without a cache"
    return Figure(
        "caches", f"Memory of {DOCUMENTS:,} cached documents of 4 KB", grown[0] - grown[1], "MB", None, detail
    )
