"""`titan import` and `titan export` as processes: signals, a terminal, memory."""

import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli import stores
from tests.cli.conftest import EXAMPLE
from tests.support.server import clean_environment

TITAN = [sys.executable, "-m", "titan"]


def many(path: Path, count: int, padding: int = 0) -> Path:
    text = {"language": "en", "text": "x" * padding}
    with path.open("w") as file:
        file.write('{"submodels":[')
        for number in range(count):
            submodel = {"modelType": "Submodel", "id": f"https://example.com/sm/{number}", "description": [text]}
            file.write(("," if number else "") + json.dumps(submodel))
        file.write("]}")
    return path


def taken(data_dir: Path) -> int:
    with closing(sqlite3.connect(data_dir / "titan.db")) as db:
        (count,) = db.execute("SELECT count(*) FROM outbox").fetchone()
        return int(count)


def children_files(pid: int) -> Iterator[Path]:
    return Path(f"/proc/{pid}/task").glob("*/children")


def wait_for(data_dir: Path, count: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 30
    while taken(data_dir) < count:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_with_the_report_of_what_was_done(data_dir, tmp_path, number):
    path = many(tmp_path / "many.json", 20_000)
    with start(data_dir, "import", "--json", path) as process:
        wait_for(data_dir, 100, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    report = json.loads(out)
    assert (process.returncode, err) == (1, "")
    assert report["stopped"] == f"by {number.name}"
    assert Counter(row["status"] for row in report["documents"]) == {"taken": len(stores.changes(data_dir))}
    assert 100 <= report["summary"]["taken"] < 20_000


def test_a_writer_process_that_dies_ends_it_with_the_report_and_a_reason(data_dir, tmp_path):
    path = many(tmp_path / "many.json", 20_000)
    with start(data_dir, "import", "--json", path) as process:
        wait_for(data_dir, 100, process)
        [child] = [int(pid) for tasks in children_files(process.pid) for pid in tasks.read_text().split()]
        os.kill(child, signal.SIGKILL)
        out, err = process.communicate(timeout=30)
    report = json.loads(out)
    assert (process.returncode, err) == (1, "")
    assert "writer process" in report["stopped"]
    said = {row["id"] for row in report["documents"] if row["status"] == "taken"}
    assert said <= {change.id for change in stores.changes(data_dir)}


def test_on_a_terminal_there_is_a_bar_and_the_table_fits(data_dir):
    leader, follower = pty.openpty()
    os.set_blocking(leader, False)
    with subprocess.Popen(
        [*TITAN, "import", EXAMPLE],
        env=clean_environment({"TITAN_DATA_DIR": str(data_dir), "COLUMNS": "60", "TERM": "xterm"}),
        stdout=follower,
        stderr=follower,
    ) as process:
        os.close(follower)
        shown = b""
        while process.poll() is None:
            time.sleep(0.01)
            try:
                shown += os.read(leader, 65536)
            except (BlockingIOError, OSError):
                continue
    os.close(leader)
    assert process.returncode == 0
    assert "━".encode() in shown
    assert b"100%" in shown
    table = re.sub("\x1b\\[[0-9;]*m", "", shown.decode().rsplit("\x1b[2K", 1)[-1])
    assert max(len(line) for line in table.splitlines()) == 60
    assert "23" in table


def start(data_dir: Path, *arguments: object) -> "subprocess.Popen[str]":
    """Start a command."""
    return subprocess.Popen(
        [*TITAN, *map(str, arguments)],
        env=clean_environment({"TITAN_DATA_DIR": str(data_dir)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


PEAK = (
    "import resource, sys; from titan.cli.main import run; code = run(sys.argv[1:]);"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(code)"
)


def peak_kib(data_dir: Path, *arguments: object) -> int:
    """Run a command in a process of its own; return the most memory it had."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments)],
        env=clean_environment({"TITAN_DATA_DIR": str(data_dir)}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.splitlines()[-1])


def test_memory_grows_neither_with_the_file_nor_with_the_store(data_dir, tmp_path):
    peaks = {}
    for count in (1_000, 15_000):
        path = many(tmp_path / f"{count}.json", count, padding=1000)
        peaks["import", count] = peak_kib(data_dir, "import", "--strict", path)
        peaks["export", count] = peak_kib(data_dir, "export", "--force", tmp_path / "out.json")
        peaks["validate", count] = peak_kib(data_dir, "validate", path)
    assert (tmp_path / "out.json").stat().st_size > 15_000_000
    for command in ("import", "export", "validate"):
        assert peaks[command, 15_000] - peaks[command, 1_000] < 6 * 1024, peaks


def test_a_stopped_import_says_so_after_its_table(data_dir, tmp_path):
    path = many(tmp_path / "many.json", 20_000)
    with start(data_dir, "import", path) as process:
        wait_for(data_dir, 100, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, "")
    assert out.splitlines()[-1] == "Stopped before the end: by SIGINT"


def test_an_export_to_a_file_that_is_stopped_leaves_nothing_behind(data_dir, tmp_path):
    assert peak_kib(data_dir, "import", many(tmp_path / "many.json", 20_000, padding=500))
    (tmp_path / "out").mkdir()
    with start(data_dir, "export", tmp_path / "out" / "out.json") as process:
        deadline = time.monotonic() + 30
        while not list((tmp_path / "out").iterdir()):
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (1, "", "Error: interrupted\n")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_export_whose_reader_has_stopped_reading_can_be_stopped(data_dir, tmp_path, number):
    assert peak_kib(data_dir, "import", many(tmp_path / "many.json", 1_000, padding=500))
    with start(data_dir, "export", "-") as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == "{"  # and no more: the pipe fills
        process.send_signal(number)
        assert process.wait(30) == -number
