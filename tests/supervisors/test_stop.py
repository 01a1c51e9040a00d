"""How the process stops: a signal drains it, a second one or the hard deadline ends it."""

import json
import os
import signal
import time

import httpx
import pytest

from tests.supervisors.support import one_line
from tests.support import hooked
from tests.support.server import serving
from tests.support.waiting import wait_until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_signal_drains_and_ends_with_0(hangup, data_dir, number):
    with serving(data_dir) as server:
        os.kill(server.pid, number)
        assert server.wait() == 0
        assert f"reason={number.name}" in next(line for line in server.logs().splitlines() if "draining" in line)


def test_a_stop_closes_in_reverse_order(data_dir):
    with serving(data_dir, settings={"TITAN_LOG_FORMAT": "json"}) as server:
        server.terminate()
        assert server.wait() == 0
        events = [json.loads(line) for line in server.logs().splitlines() if line.startswith("{")]
    names = [event["actor"].rpartition("/")[2] for event in events if event["event"] == "actor exited"]
    stopped = [
        "events",
        "http",
        "frontend",
        "task_board",
        "change_feed",
        "sqlite_writer",
        "stores",
        "telemetry",
        "titan",
    ]
    assert names[names.index("leadership") + 1 :] == stopped


def test_readiness_is_503_and_liveness_200_while_it_drains(data_dir):
    settings = {"TITAN_HTTP__DRAIN_DELAY_S": "1.5", "TITAN_PROCESS__HARD_DEADLINE_S": "25"}
    with serving(data_dir, settings=settings) as server:
        server.terminate()
        wait_until(lambda: not server.is_ready(), within_s=1.0, what="the end of readiness")
        assert httpx.get(f"{server.url}/health/ready").json()["status"] == "unready"
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        assert server.wait() == 0


def test_a_second_signal_ends_at_once(data_dir):
    settings = {"TITAN_HTTP__DRAIN_DELAY_S": "5", "TITAN_PROCESS__HARD_DEADLINE_S": "25"}
    with serving(data_dir, settings=settings) as server:
        server.terminate()
        wait_until(lambda: "draining" in server.logs(), what="the drain")
        started = time.monotonic()
        server.terminate()
        assert server.wait() == 1
        assert time.monotonic() - started < 4.0  # the drain alone would take 5
        assert one_line(server.logs()) == "titan: SIGTERM again while stopping: ended at once"


def test_the_hard_deadline_ends_a_task_that_ignores_cancellation(data_dir, tmp_path):
    settings = {"TITAN_PROCESS__HARD_DEADLINE_S": "2", "HOOK_SOCKET": str(tmp_path / "hook")}
    with serving(data_dir, settings=settings, program=hooked.PROGRAM) as server:
        assert hooked.order(tmp_path / "hook", "cling") == "done"
        started = time.monotonic()
        server.terminate()
        assert server.wait() == 1
        assert 2 <= time.monotonic() - started < 6
        assert "hard_deadline_s" in one_line(server.logs())


def test_the_hard_deadline_ends_a_blocked_loop(data_dir, tmp_path):
    settings = {"TITAN_PROCESS__HARD_DEADLINE_S": "2", "HOOK_SOCKET": str(tmp_path / "hook")}
    with serving(data_dir, settings=settings, program=hooked.PROGRAM) as server:
        assert hooked.order(tmp_path / "hook", "block 60") == "done"
        with pytest.raises(httpx.TimeoutException):  # what a balancer sees of a blocked loop: no answer in time
            httpx.get(f"{server.url}/health/live", timeout=1.0)
        server.terminate()
        assert server.wait() == 1
