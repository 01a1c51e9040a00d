"""What it costs a request to be counted and told, and a command to start."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import trio

from tests.bench.figures import Figure, Run, at_most, spread
from tests.support.server import clean_environment
from titan.http.observe import RequestRecord
from titan.settings_load import load
from titan.telemetry.log import make_log
from titan.telemetry.metrics import Metrics
from titan.telemetry.requests import RequestTelemetry
from titan.telemetry.writer import LineWriter

REQUESTS = 20_000
RECORD = RequestRecord(
    method="GET",
    operation="GetSubmodelById",
    path="/submodels/aHR0cHM6Ly9leGFtcGxlLmNvbS9pZHMvc20vMTIzNA",
    status=200,
    duration_s=0.00123,
    received_bytes=0,
    sent_bytes=4096,
    request_id="0af7651916cd43dd8448eb211c80319c",
    client="127.0.0.1",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def measure(run: Run) -> Iterator[Figure]:
    """Measure on a trio loop that does nothing else, so that every wait for the interpreter lock shows."""
    metrics = Metrics()

    def count() -> None:
        metrics.request_started()
        metrics.request_finished(RECORD.method, RECORD.operation, RECORD.status, RECORD.duration_s)

    yield _per_request("Counting a request (metrics)", count, run.rounds, 5)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        assert reader.stdin is not None
        yield from _told("a reader", reader.stdin.fileno(), run)
    read, write = os.pipe()
    yield from _told("a reader that does not read", write, run)
    os.close(read)
    for arguments in (["--version"], ["config", "check"]):
        took_s = [_command_s(*arguments) for _ in range(run.rounds)]
        name = f"`titan {' '.join(arguments)}`"
        yield Figure("telemetry", name, statistics.median(took_s), "s", at_most(0.5), spread(took_s))
    took_us = [_seconds(lambda: load(os.environ)) * 1e6 for _ in range(run.rounds)]
    yield Figure("telemetry", "Loading the settings", statistics.median(took_us), "µs", None, spread(took_us))


def _told(reader: str, fd: int, run: Run) -> Iterator[Figure]:
    writer = LineWriter(fd)
    telemetry = RequestTelemetry(make_log(writer.write, instance="titan-1"), Metrics())

    def tell() -> None:
        telemetry.request_started()
        telemetry.request_finished(RECORD)

    figure = _per_request(f"Counting and telling a request, {reader}", tell, run.rounds, 20)
    yield replace(figure, detail=f"{figure.detail}; {writer.dropped:,} lines dropped")
    writer.close(1)


def _per_request(name: str, step: Callable[[], None], rounds: int, target_us: float) -> Figure:
    with_it = [trio.run(_loop_us, step) for _ in range(rounds)]
    without = min(trio.run(_loop_us, _nothing) for _ in range(rounds))
    took_us = [max(0.0, value - without) for value in with_it]
    # The smallest: what other work on the machine adds is never negative.
    return Figure("telemetry", name, min(took_us), "µs", at_most(target_us), spread(took_us))


async def _loop_us(step: Callable[[], None]) -> float:
    began = time.perf_counter()
    for _ in range(REQUESTS):
        step()
        await trio.lowlevel.checkpoint()
    return (time.perf_counter() - began) / REQUESTS * 1e6


def _nothing() -> None:
    """Cost what a call costs."""


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _command_s(*arguments: str) -> float:
    command = [sys.executable, "-m", "titan", *arguments]
    return _seconds(lambda: subprocess.run(command, env=clean_environment(), stdout=subprocess.DEVNULL, check=True))
