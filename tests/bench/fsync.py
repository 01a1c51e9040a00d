"""Readers while every fsync takes 50 ms: nothing but the writers may wait for the disk."""

import statistics
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.bench import http, load, processes
from tests.bench.figures import Figure, Run, Unmeasurable, at_most
from tests.support.server import Server, serving
from tests.support.slow_fsync import slow_fsync
from tests.support.traffic import Sent, traffic

DELAY_S = 0.05
WRITERS = 4
PAUSE_S = 0.1
"""Writers rest between posts, so that both servers have nearly the same number of writes to make durable."""
PROBE_EVERY_S = 0.02


def measure(run: Run) -> Iterator[Figure]:
    """Let a server on a slow disk and one on the disk as it is take turns under the same load."""
    slow = run.closing.enter_context(serving(run.folder / "slow", settings=slow_fsync(run.folder, DELAY_S)))
    plain = run.closing.enter_context(serving(run.folder / "plain"))
    hot = {server: http.create(server.url, http.HOT) for server in (slow, plain)}
    plain_s: list[float] = []
    slow_s: list[float] = []
    alive: list[bool] = []
    for turn in range(run.rounds):
        run.say(f"turn {turn + 1} of {run.rounds}")
        plain_s.append(read_p99_s(plain, hot[plain], run, alive=[]))
        slow_s.append(read_p99_s(slow, hot[slow], run, alive=alive))
    ratios = [b / a for a, b in zip(plain_s, slow_s, strict=True)]
    detail = f"{statistics.median(slow_s) * 1e3:.3g} ms against {statistics.median(plain_s) * 1e3:.3g} ms"
    name = f"GET p99 while each fsync takes {DELAY_S * 1e3:.0f} ms longer"
    yield Figure("fsync", name, statistics.median(ratios), "× without", at_most(2), detail)
    name, detail = "/health/live answered otherwise than with 200 meanwhile", f"of {len(alive):,}"
    yield Figure("fsync", name, alive.count(False), "times", at_most(0), detail)


def read_p99_s(server: Server, hot: str, run: Run, *, alive: list[bool]) -> float:
    """Return the p99 of readers beside a few writers, asking the whole time whether the server lives."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool, traffic(server.url, clients=WRITERS, pause_s=PAUSE_S) as sent:
        probing = pool.submit(probe, server.port, stop, alive)
        try:
            seen = load.run(hot, connections=http.CLIENTS, seconds=run.seconds)
        finally:
            stop.set()
        probing.result()
    http.clean(seen)
    check_writers(sent, is_slow=server.data_dir.name == "slow")
    return seen.p99_s


def probe(port: int, stop: threading.Event, alive: list[bool]) -> None:
    """Ask for life signs until told to stop."""
    while not stop.wait(PROBE_EVERY_S):
        alive.append(processes.answers(port, "/health/live"))


def check_writers(sent: Sent, *, is_slow: bool) -> None:
    """Without failures, and slow exactly where the disk is: else the comparison means nothing."""
    if lost := sent.lost():
        raise Unmeasurable(f"{len(lost)} requests failed, the first: {lost[0]}")
    fastest_s = min(outcome.took_s for outcome in sent.outcomes if outcome.method == "POST")
    if is_slow != (fastest_s >= DELAY_S):
        raise Unmeasurable(f"the fastest write took {fastest_s * 1e3:.1f} ms: the delay is not where it belongs")
