"""One server per database, said in one line."""

import os
import signal
import subprocess
import sys

import pytest

from titan.store.sqlite.lock import AlreadyServed, serve_lock, server_version
from titan.version import __version__

HOLD = """
import sys, time
from pathlib import Path
from titan.store.sqlite.lock import serve_lock
with serve_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_server(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "titan.db"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_server_is_refused_and_told_who_the_first_is(tmp_path, other_server):
    said = f"in use by another titan serve .process {other_server.pid}, titan "
    with pytest.raises(AlreadyServed, match=said), serve_lock(tmp_path / "titan.db"):
        pass


def test_the_lock_ends_with_its_process_however_that_dies(tmp_path, other_server):
    os.kill(other_server.pid, signal.SIGKILL)
    other_server.wait()
    with serve_lock(tmp_path / "titan.db"):
        assert (tmp_path / "titan.lock").read_text() == f"process {os.getpid()}, titan {__version__}\n"


def test_the_lock_is_free_again_after_use(tmp_path):
    for _ in range(2):
        with serve_lock(tmp_path / "titan.db"):
            pass


def test_it_can_be_asked_which_version_serves(tmp_path, other_server):
    assert server_version(tmp_path / "titan.db") == __version__
    other_server.kill()
    other_server.wait()
    assert server_version(tmp_path / "titan.db") is None
    assert server_version(tmp_path / "none.db") is None


def test_databases_in_one_folder_have_locks_of_their_own(tmp_path):
    with serve_lock(tmp_path / "a.db"), serve_lock(tmp_path / "b.db"):
        pass
