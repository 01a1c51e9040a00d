"""Stopping by signal: once to drain, twice to end, and a deadline that needs no event loop."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import trio

from supervisors.signals import StopSignals

ROOT = Path(__file__).parents[2]


class Ended(list[str]):
    """Stands in for the end of the process: keeps the messages and tells when the first one came."""

    def __init__(self) -> None:
        super().__init__()
        self.happened = threading.Event()

    def __call__(self, message: str) -> None:
        self.append(message)
        self.happened.set()


@pytest.fixture
def ended():
    return Ended()


@pytest.fixture
def signals(ended):
    stop = StopSignals(30.0, end=ended)
    yield stop
    stop.disarm()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_the_first_signal_asks_for_a_drain(hangup, signals, ended, number):
    with signals.installed():
        os.kill(os.getpid(), number)
        with trio.fail_after(5):
            await signals.requested.wait()
    assert ended == []


async def test_the_second_signal_ends_at_once(signals, ended):
    with signals.installed():
        os.kill(os.getpid(), signal.SIGTERM)
        with trio.fail_after(5):
            await signals.requested.wait()
        os.kill(os.getpid(), signal.SIGINT)
    assert ended == ["SIGINT again while stopping: ended at once"]


async def test_a_hangup_that_nohup_ignores_stays_ignored(hangup, signals):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals.installed():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert not signals.requested.is_set()


async def test_handlers_are_put_back(signals):
    before = signal.getsignal(signal.SIGTERM)
    with signals.installed():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


async def test_the_deadline_comes_without_the_loops_help(ended):
    signals = StopSignals(0.05, end=ended)
    with signals.installed():
        signals.request()
        assert ended.happened.wait(5)  # blocks this thread, and with it the loop
    assert ended == ["not stopped 0.05 s after the signal: ended (hard_deadline_s)"]
    signals.disarm()


async def test_no_deadline_runs_before_the_first_signal(ended):
    signals = StopSignals(0.0, end=ended)
    with signals.installed():
        pass
    signals.disarm()
    for thread in threading.enumerate():
        if thread.name == "hard-deadline":
            thread.join(5)
    assert ended == []


def test_a_process_whose_loop_is_blocked_is_gone_after_the_deadline():
    program = (
        "import time, trio\n"
        "from supervisors.signals import StopSignals\n"
        "async def main():\n"
        "    with StopSignals(0.3).installed():\n"
        "        print('up', flush=True)\n"
        "        while True:\n"
        "            time.sleep(60)\n"
        "trio.run(main)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            sent = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 1
            assert time.monotonic() - sent >= 0.3
            assert process.stderr is not None
            assert "not stopped 0.3 s after the signal" in process.stderr.read()
        finally:
            process.kill()
