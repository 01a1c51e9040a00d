"""What keeps the process from starting is one line that says what to do, and an exit code."""

import socket
import subprocess
import sys

import httpx

from tests.supervisors.support import one_line, run_serve
from tests.support.server import serving


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


def test_what_lies_in_the_folder_it_is_started_in_is_no_code_of_its_processes(data_dir):
    for name in ("struct", "alembic"):  # the writer needs the one, the migrations need the other
        (data_dir.parent / f"{name}.py").write_text("raise SystemExit('not the library')")
    with serving(data_dir, program=(sys.executable, "-P", "-m", "titan", "serve")) as server:
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
    assert "TITAN_SECURITY__ALLOW_ANONYMOUS=true" in one_line(output)
    assert not data_dir.exists()


def test_listening_beyond_loopback_is_warned_of_at_every_start(data_dir):
    settings = {"TITAN_SECURITY__ALLOW_ANONYMOUS": "true"}
    for _ in range(2):
        with serving(data_dir, settings=settings, arguments=["--host", "0.0.0.0"]) as server:
            assert "ANYONE who can reach 0.0.0.0 may read and write everything" in server.logs()
            assert httpx.get(f"{server.url}/system/tree").status_code == 404
