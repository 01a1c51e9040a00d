"""The process as operators meet it: how it starts, refuses, stops and ends. Real processes, real signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.support import hooked
from tests.support.server import PROGRAM, Server, clean_environment, free_port, serving

SHELL = {
    "modelType": "AssetAdministrationShell",
    "id": "urn:example:shell",
    "assetInformation": {"assetKind": "Instance", "globalAssetId": "urn:example:asset"},
}


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


def run_serve(
    data_dir: Path,
    *arguments: str,
    settings: dict[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
    **options,
) -> tuple[int, str]:
    """Run `titan serve` where it must end by itself; return its exit code and all that it said."""
    done = subprocess.run(
        [*program, *arguments],
        env=clean_environment({"TITAN_DATA_DIR": str(data_dir), "TITAN_PORT": "0", **(settings or {})}),
        cwd=data_dir.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )
    return done.returncode, done.stdout + done.stderr


def one_line(output: str) -> str:
    """Return the line for the operator; there is one and no traceback."""
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if line.startswith("titan: ")]
    assert len(lines) == 1, output
    return lines[0]


# --- stopping ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_signal_drains_and_ends_with_0(data_dir, number):
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
    assert names == ["http", "frontend", "sqlite_writer", "stores", "telemetry", "titan"]


def test_readiness_is_503_and_liveness_200_while_it_drains(data_dir):
    settings = {"TITAN_HTTP__DRAIN_DELAY_S": "1.5", "TITAN_PROCESS__HARD_DEADLINE_S": "25"}
    with serving(data_dir, settings=settings) as server:
        server.terminate()
        deadline = time.monotonic() + 1.0
        while (ready := httpx.get(f"{server.url}/health/ready")).status_code == 200:
            assert time.monotonic() < deadline
        assert ready.json()["status"] == "unready"
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        assert server.wait() == 0


def test_a_second_signal_ends_at_once(data_dir):
    settings = {"TITAN_HTTP__DRAIN_DELAY_S": "5", "TITAN_PROCESS__HARD_DEADLINE_S": "25"}
    with serving(data_dir, settings=settings) as server:
        server.terminate()
        while "draining" not in server.logs():
            assert server.exit_code is None
            time.sleep(0.01)
        started = time.monotonic()
        server.terminate()
        assert server.wait() == 1
        assert time.monotonic() - started < 1.0
        assert one_line(server.logs()) == "titan: SIGTERM again while stopping: ended at once"


def test_the_hard_deadline_ends_a_task_that_ignores_cancellation(data_dir, tmp_path):
    settings = {"TITAN_PROCESS__HARD_DEADLINE_S": "2", "HOOK_SOCKET": str(tmp_path / "hook")}
    with serving(data_dir, settings=settings, program=hooked.PROGRAM) as server:
        assert hooked.order(tmp_path / "hook", "cling") == "done"
        started = time.monotonic()
        server.terminate()
        assert server.wait() == 1
        assert 2 <= time.monotonic() - started < 3.5
        assert "hard_deadline_s" in one_line(server.logs())


def test_the_hard_deadline_ends_a_blocked_loop(data_dir, tmp_path):
    settings = {"TITAN_PROCESS__HARD_DEADLINE_S": "2", "HOOK_SOCKET": str(tmp_path / "hook")}
    with serving(data_dir, settings=settings, program=hooked.PROGRAM) as server:
        assert hooked.order(tmp_path / "hook", "block 60") == "done"
        with pytest.raises(httpx.TimeoutException):  # what a balancer sees of a blocked loop: no answer in time
            httpx.get(f"{server.url}/health/live", timeout=1.0)
        server.terminate()
        assert server.wait() == 1


# --- refusing to start ---


def test_a_taken_port_is_one_line(data_dir):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, output = run_serve(data_dir, "--port", str(port))
    assert code == 1
    assert one_line(output) == (
        f"titan: cannot listen on 127.0.0.1:{port}: another process listens there; stop it, or choose another port"
    )


def test_an_unwritable_data_folder_is_one_line(data_dir):
    code, output = run_serve(data_dir, settings={"TITAN_DATA_DIR": "/proc/titan"})  # nobody can make it, not even root
    assert code == 1
    assert "the data folder /proc/titan cannot be used" in one_line(output)


def test_a_data_folder_that_is_a_file_is_one_line(tmp_path):
    folder = tmp_path / "file"
    folder.write_text("not a folder")
    code, output = run_serve(folder)
    assert code == 1
    assert str(folder) in one_line(output)


def test_a_second_server_on_the_same_data_folder_is_one_line(data_dir):
    with serving(data_dir) as server:
        code, output = run_serve(data_dir)
        assert code == 1
        assert f"process {server.pid}" in one_line(output)
        assert server.is_ready()


def test_a_file_that_is_no_database_is_one_line(data_dir):
    data_dir.mkdir()
    (data_dir / "titan.db").write_bytes(b"this is not a database" * 100)
    code, output = run_serve(data_dir)
    assert code == 1
    assert "damaged or no database" in one_line(output)


def test_an_actor_that_cannot_start_is_one_line_and_its_error_is_logged_once(data_dir):
    with serving(data_dir):
        pass
    (data_dir / "titan.db-turn").unlink()
    (data_dir / "titan.db-turn").mkdir()
    code, output = run_serve(data_dir)
    assert code == 1
    [line] = [line for line in output.splitlines() if line.startswith("titan: ")]
    assert line.startswith("titan: titan/stores/sqlite_writer did not start: WriterFailed: the writer process died")
    assert "IsADirectoryError" in line
    assert output.count("in run_writer") == 1  # once with its traceback; its supervisors only name it


def test_a_bug_in_the_root_is_logged_whole_and_leaves_nothing_running(data_dir):
    script = (
        "import os; from supervisors.root import serve; from titan.settings_load import load;"
        "serve(load(os.environ), hook=lambda instance, tree: print(tree.no_such_thing))"
    )
    code, output = run_serve(data_dir, "-c", script, program=[sys.executable])
    assert code == 1
    assert "error   failed  instance=" in output
    assert "has no attribute 'no_such_thing'" in output
    assert "actor=titan/stores/sqlite_writer reason=stopped" in output


def test_a_schema_that_is_too_new_ends_with_4(data_dir):
    with serving(data_dir):
        pass
    script = "UPDATE titan_schema SET revision = '9999', oldest_program = '999.0'"
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sqlite3; d = sqlite3.connect('{data_dir}/titan.db'); d.execute(\"{script}\"); d.commit()",
        ],
        check=True,
    )
    code, output = run_serve(data_dir)
    assert code == 4
    assert "9999" in one_line(output)


def test_bad_settings_end_with_2(data_dir):
    code, output = run_serve(data_dir, settings={"TITAN_HTTP__DRAIN_DELAY_S": "30"})
    assert code == 2
    assert "TITAN_HTTP__DRAIN_DELAY_S" in output
    assert "TITAN_PROCESS__HARD_DEADLINE_S" in output


def test_listening_beyond_loopback_needs_to_be_allowed(data_dir):
    code, output = run_serve(data_dir, "--host", "0.0.0.0")
    assert code == 2
    assert "TITAN_SECURITY__ALLOW_ANONYMOUS" in output


def test_listening_beyond_loopback_is_warned_of_at_every_start(data_dir):
    settings = {"TITAN_SECURITY__ALLOW_ANONYMOUS": "true"}
    for _ in range(2):
        with serving(data_dir, settings=settings, arguments=["--host", "0.0.0.0"]) as server:
            assert "ANYONE who can reach 0.0.0.0 may read and write everything" in server.logs()
            assert httpx.get(f"{server.url}/system/tree").status_code == 404


# --- going on under strain ---


def test_closed_standard_streams_do_not_matter(data_dir):
    port = free_port()
    environment = clean_environment({"TITAN_DATA_DIR": str(data_dir), "TITAN_PORT": str(port)})
    data_dir.parent.mkdir(exist_ok=True)
    with subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *PROGRAM], env=environment, cwd=data_dir.parent
    ) as process:
        try:
            wait_for_ready(port)
            assert httpx.post(f"http://127.0.0.1:{port}/shells", json=SHELL).status_code == 201
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
            wait_for_ready(port)
            assert process.stdout is not None
            process.stdout.close()
            for _ in range(20):
                assert httpx.get(f"http://127.0.0.1:{port}/shells").status_code == 200
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()


def wait_for_ready(port: int) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
            assert first.post("/shells", json=SHELL).status_code == 201
            for connection in crowd:
                connection.close()
        assert httpx.get(f"{server.url}/shells", timeout=5).status_code == 200
        assert server.logs().count("accepting paused") <= 3
        assert "Traceback" not in server.logs()


@pytest.mark.parametrize(
    "path", ["titan/telemetry", "titan/stores/sqlite_writer", "titan/stores", "titan/frontend/http", "titan/frontend"]
)
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
        assert node(server, path)["last_error"] == "InjectedFault: injected by the test"
    if path.startswith("titan/frontend"):  # what was in flight is cut; whoever comes next is served
        assert len(clients.failed) <= clients.count
    else:
        assert clients.failed == []


def node(server: Server, path: str) -> dict[str, object]:
    """Return one node of the live tree."""
    found = httpx.get(f"{server.url}/system/tree", timeout=5).json()
    for name in path.split("/")[1:]:
        found = next(child for child in found["children"] if child["name"] == name)
    return dict(found)


def wait_for_restart(server: Server, path: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            now = node(server, path)
        except httpx.TransportError:  # the http actor itself is restarting
            now = {}
        if now.get("restarts") == 1 and now.get("state") == "running":
            return
        assert time.monotonic() < deadline, now
        time.sleep(0.01)


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
        goal, deadline = self.done + more, time.monotonic() + 15
        while self.done < goal:
            assert time.monotonic() < deadline, self.failed
            time.sleep(0.01)

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


# --- systemd ---


class Manager:
    """A small stand-in for systemd: the socket it is told on, and what was said."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)

    def wait_for(self, name: str, timeout_s: float = 15.0) -> dict[str, str]:
        """Return the next message with this assignment."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            lines = self._socket.recv(4096).decode().splitlines()
            said = dict(line.split("=", 1) for line in lines)
            if name in said:
                return said

    def forget(self) -> None:
        """Drop what was said so far."""
        self._socket.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(4096)

    def is_silent_for(self, seconds: float) -> bool:
        """Say whether the watchdog is not fed for so long, which is when systemd would kill the service."""
        try:
            self.wait_for("WATCHDOG", seconds)
        except TimeoutError:
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


def test_systemd_is_told_of_ready_stopping_and_each_sign_of_life(data_dir, tmp_path):
    with Manager(tmp_path) as manager:
        settings = {
            "NOTIFY_SOCKET": manager.address,
            "WATCHDOG_USEC": "1000000",
            "HOOK_SOCKET": str(tmp_path / "hook"),
        }
        with serving(data_dir, settings=settings, program=hooked.PROGRAM) as server:
            ready = manager.wait_for("READY")
            assert ready["MAINPID"] == str(server.pid)
            assert f"port {server.port}" in ready["STATUS"]
            for _ in range(3):
                manager.wait_for("WATCHDOG")
            assert hooked.order(tmp_path / "hook", "block 3") == "done"
            manager.forget()
            assert manager.is_silent_for(1.0)
            server.wait_ready()
            manager.wait_for("WATCHDOG")
            server.terminate()
            manager.wait_for("STOPPING")


def test_a_supervisor_that_cannot_mend_its_part_ends_the_process_with_3(data_dir, tmp_path):
    with serving(data_dir, settings={"HOOK_SOCKET": str(tmp_path / "hook")}, program=hooked.PROGRAM) as server:
        deadline = time.monotonic() + 30
        while server.exit_code is None and time.monotonic() < deadline:
            try:
                hooked.order(tmp_path / "hook", "fail titan/telemetry")
            except OSError:
                break
            time.sleep(0.02)
        assert server.wait() == 3
        assert "titan gave up" in server.logs()
