"""The process goes on: without standard streams, at the descriptor limit, while each of its actors crashes."""

import socket
import subprocess
import threading
import time
from contextlib import ExitStack

import httpx
import pytest

from tests.supervisors.support import node, paths, wait_for_restart
from tests.support import hooked
from tests.support.documents import shell
from tests.support.server import PROGRAM, Server, clean_environment, free_port, is_ready, serving
from tests.support.waiting import wait_until


def test_closed_standard_streams_do_not_matter(data_dir):
    port = free_port()
    environment = clean_environment({"TITAN_DATA_DIR": str(data_dir), "TITAN_PORT": str(port)})
    data_dir.parent.mkdir(exist_ok=True)
    with subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *PROGRAM], env=environment, cwd=data_dir.parent
    ) as process:
        try:
            wait_until(lambda: is_ready(port), what="the server's readiness")
            assert httpx.post(f"http://127.0.0.1:{port}/shells", json=shell()).status_code == 201
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_a_reader_of_standard_output_that_goes_away_does_not_matter(data_dir):
    port = free_port()
    environment = clean_environment({"TITAN_DATA_DIR": str(data_dir), "TITAN_PORT": str(port)})
    with subprocess.Popen(
        PROGRAM, env=environment, cwd=data_dir.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            wait_until(lambda: is_ready(port), what="the server's readiness")
            assert process.stdout is not None
            process.stdout.close()
            for _ in range(20):
                assert httpx.get(f"http://127.0.0.1:{port}/shells").status_code == 200
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_at_the_descriptor_limit_it_serves_what_it_has_and_accepts_again_by_itself(data_dir):
    program = ("prlimit", "--nofile=64:64", *PROGRAM)
    with serving(data_dir, program=program) as server, ExitStack() as stack:
        with httpx.Client(base_url=server.url) as first:
            assert first.get("/shells").status_code == 200
            crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(100)]
            deadline = time.monotonic() + 10
            while "accepting paused" not in server.logs():
                assert first.get("/shells").status_code == 200
                assert time.monotonic() < deadline
            assert first.post("/shells", json=shell()).status_code == 201
            for connection in crowd:
                connection.close()
        assert httpx.get(f"{server.url}/shells", timeout=5).status_code == 200
        assert server.logs().count("accepting paused") <= 3
        assert "Traceback" not in server.logs()


TERM = "titan/leadership/cleanup-worker"
ACTORS = {
    "titan/telemetry",
    "titan/stores",
    "titan/stores/sqlite_writer",
    "titan/stores/change_feed",
    "titan/stores/task_board",
    "titan/frontend",
    "titan/frontend/http",
    "titan/frontend/events",
    "titan/leadership",
    TERM,
    f"{TERM}/lease",
    f"{TERM}/tasks",
    f"{TERM}/tasks/session-cleanup",
}
ALIKE = {
    f"{TERM}/tasks/metrics-aggregation",
    f"{TERM}/tasks/outbox-trim",
    f"{TERM}/tasks/blob-cleanup",
    "titan/leadership/external-sync",
    "titan/leadership/external-sync/lease",
}
"""The same actors in other places."""


@pytest.mark.parametrize("path", sorted(ACTORS))
def test_a_crash_of_any_actor_is_restarted_and_the_others_go_on(data_dir, tmp_path, path):
    with (
        serving(data_dir, settings={"HOOK_SOCKET": str(tmp_path / "hook")}, program=hooked.PROGRAM) as server,
        Clients(server) as clients,
    ):
        clients.wait_for(50)
        assert hooked.order(tmp_path / "hook", f"fail {path}") == "done"
        wait_for_restart(server, path)
        clients.wait_for(50)
        assert server.exit_code is None
        assert set(paths(server)) == ACTORS | ALIKE | {"titan"}, "each actor of the tree has its turn here"
        assert node(server, path)["last_error"] == "InjectedFault: injected by the test"
    if path.startswith("titan/frontend"):  # what was in flight is cut; whoever comes next is served
        assert len(clients.failed) <= clients.count
    else:
        assert clients.failed == []


def test_a_supervisor_that_cannot_mend_its_part_ends_the_process_with_3(data_dir, tmp_path):
    with (
        serving(data_dir, settings={"HOOK_SOCKET": str(tmp_path / "hook")}, program=hooked.PROGRAM) as server,
        httpx.Client(base_url=server.url, limits=httpx.Limits(keepalive_expiry=None)) as asked,
    ):
        assert asked.get("/health/ready").status_code == 200

        def has_given_up() -> bool:
            hooked.order(tmp_path / "hook", "fail titan/telemetry")
            return "supervisor gave up" in server.logs()

        wait_until(has_given_up, within_s=30, what="giving up")
        assert asked.get("/health/ready").status_code == 503  # as in a drain by signal
        assert server.wait() == 3
        assert "titan gave up" in server.logs()


class Clients:
    """A few clients that read one document without pause and note every request that failed."""

    count = 4

    def __init__(self, server: Server) -> None:
        self._url = f"{server.url}/shells"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(self.count)]
        self.done = 0
        self.failed: list[str] = []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        """Return once `more` further requests were answered."""
        goal = self.done + more
        wait_until(lambda: self.done >= goal, within_s=15, what=f"{more} more answers")

    def _read(self) -> None:
        with httpx.Client(timeout=5) as client:
            while not self._stop.is_set():
                try:
                    answer = client.get(self._url)
                except httpx.TransportError as error:
                    self.failed.append(repr(error))
                    continue
                if answer.status_code == 200:
                    self.done += 1
                else:
                    self.failed.append(f"{answer.status_code} {answer.text}")
