"""How soon a write is told to clients of another instance, how much one instance tells, what waiting clients cost."""

import http.client
import statistics
import time
import uuid
from collections.abc import Iterator
from urllib.parse import quote

from tests.bench import http as http_section
from tests.bench import postgres, processes, twins
from tests.bench.figures import Figure, Run, Unmeasurable, at_least, at_most, number
from tests.bench.listeners import listening
from tests.support.redis import running_redis
from tests.support.server import Server, serving
from tests.support.traffic import traffic
from titan.model.identifiers import encode_identifier

CLIENTS = 100
WRITES_PER_S = 50
IDLE = 1000
STREAM = "/events"
SOCKET = "/events/ws"


def measure(run: Run) -> Iterator[Figure]:
    """Two instances over one database and one Redis: written at the first, followed at the second."""
    redis = run.closing.enter_context(running_redis())
    settings = {"DATABASE_URL": postgres.database(run), "REDIS_URL": redis.url()}
    first, second = (run.closing.enter_context(serving(run.folder / name, settings=settings)) for name in "ab")
    seconds = max(10, run.rounds * run.seconds // 2)
    run.say(f"{WRITES_PER_S} writes a second for {seconds} s, {CLIENTS} clients at the other instance")
    yield from delays("Write to client of another instance", run, first, second, seconds, p50_ms=60, p99_ms=200)
    run.say("the same without Redis")
    redis.kill()
    try:
        yield from delays("the same with Redis stopped", run, first, second, seconds, p50_ms=None, p99_ms=1200)
    finally:
        redis.start()
    # Last: whoever follows after them gets at first what could not be told as fast as it was written.
    yield from throughput("Events delivered by one instance", run, first, second, seconds)
    yield from throughput("the same by WebSocket", run, first, second, seconds, target=SOCKET)
    yield idle(f"Memory of {IDLE:,} waiting clients", run)
    yield idle("the same by WebSocket", run, target=SOCKET)


def delays(
    name: str, run: Run, writer: Server, reader: Server, seconds: int, *, p50_ms: float | None, p99_ms: float
) -> Iterator[Figure]:
    """Time from before the write's request to the arrival at each client."""
    with listening(reader.url, CLIENTS) as listeners:
        cpu_before_s = processes.cpu_s(reader.pid)
        sent = write_steadily(writer, seconds)
        listeners.wait_for(len(sent) * CLIENTS, within_s=30, among=sent)
        cpu_s = processes.cpu_s(reader.pid) - cpu_before_s
    late_ms = sorted((arrived - sent[subject]) * 1000 for subject, arrived in listeners.arrivals if subject in sent)
    cuts = statistics.quantiles(late_ms, n=100)
    detail = f"{len(sent):,} writes, {len(late_ms):,} arrivals, {number(cpu_s / seconds * 100)} % of a core there"
    yield Figure("events", f"{name}, p50", cuts[49], "ms", None if p50_ms is None else at_most(p50_ms), detail)
    yield Figure("events", f"{name}, p99", cuts[98], "ms", at_most(p99_ms), f"max {number(late_ms[-1])} ms")


def write_steadily(server: Server, seconds: int) -> dict[bytes, float]:
    """Write documents at an even pace; return when each one's request was begun, by its id."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    run_id = uuid.uuid4()
    sent = {}
    begun = time.monotonic()
    for each in range(seconds * WRITES_PER_S):
        time.sleep(max(0.0, begun + each / WRITES_PER_S - time.monotonic()))
        document_id = f"urn:bench:event:{run_id}:{each}"
        body = twins.submodel(document_id, http_section.SIZE)
        sent[document_id.encode()] = time.monotonic()
        connection.request("POST", "/submodels", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise Unmeasurable(f"a write was answered with {answer.status}")
    connection.close()
    return sent


def throughput(
    name: str, run: Run, writer: Server, reader: Server, seconds: int, *, target: str = STREAM
) -> Iterator[Figure]:
    """Write as fast as it goes; count what arrives while it does."""
    run.say(f"as many writes as it takes, {CLIENTS} clients at the other instance")
    with listening(reader.url, CLIENTS, target) as listeners, traffic(writer.url, clients=4, methods=("POST",)):
        listeners.wait_for(CLIENTS, within_s=30)
        before, began, cpu_s = len(listeners.arrivals), time.monotonic(), processes.cpu_s(reader.pid)
        time.sleep(seconds)
        arrived, took_s = len(listeners.arrivals) - before, time.monotonic() - began
        cpu_s = processes.cpu_s(reader.pid) - cpu_s
    detail = (
        f"{CLIENTS} clients, {number(arrived / CLIENTS / took_s)} writes/s, {number(cpu_s / arrived * 1e6)} µs each"
    )
    yield Figure("events", name, arrived / took_s, "/s", at_least(10_000), detail)


def idle(name: str, run: Run, *, target: str = STREAM) -> Figure:
    """Measure what clients take of memory that wait for something that does not happen."""
    run.say(f"{IDLE:,} clients that wait at {target}")
    never = encode_identifier("urn:bench:never")
    with serving(run.folder / f"idle{target.replace('/', '-')}") as server, listening(server.url, 10):
        before_mb = processes.pss_mb(processes.tree(server.pid))
        with listening(server.url, IDLE, f"{target}?id={quote(never)}"):
            after_mb = processes.pss_mb(processes.tree(server.pid))
    taken_mb = after_mb - before_mb
    return Figure("events", name, taken_mb, "MB", at_most(60), f"{before_mb:.0f} before")
