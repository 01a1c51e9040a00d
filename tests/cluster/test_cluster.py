"""`./dev cluster` as a user has it: up, in use while its leader is killed, ended by Ctrl-C, or killed and cleared."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cluster.home import Home
from tests.support.documents import shell
from tests.support.postgres_programs import children, state
from tests.support.server import ROOT, clean_environment
from tests.support.waiting import wait_until

READY_WITHIN_S = 60.0
QUICK = ("TITAN_LEADERSHIP__TTL_S=3", "TITAN_LEADERSHIP__RENEW_S=1")


@pytest.fixture
def home() -> Iterator[Home]:
    """A folder that PostgreSQL's user can get to, as it cannot to pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="titan-cluster-test-"))
    folder.rmdir()
    yield Home(folder)
    shutil.rmtree(folder, ignore_errors=True)


class Run:
    """One run of the command, and what it has printed."""

    def __init__(self, home: Home, output: Path, *arguments: str) -> None:
        self.home = home
        self.output = output
        with output.open("ab") as printed:
            self.process = subprocess.Popen(
                [ROOT / "dev", "cluster", "--folder", home.path, *arguments],
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )

    def said(self, pattern: str) -> list[str]:
        return re.findall(pattern, self.output.read_text(), re.MULTILINE)

    def wait_for(self, pattern: str, within_s: float) -> None:
        def is_said() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            return bool(self.said(pattern))

        wait_until(is_said, within_s=within_s, what=f"{pattern} in\n{self.output.read_text()}")

    def family(self) -> set[int]:
        """Return every process that descends from it, the same way as the kernel has it."""
        found, new = set[int](), {self.process.pid}
        while new:
            found |= new
            new = {child for pid in new for child in children(pid)} - found
        return found


@contextmanager
def starting(home: Home, output: Path, *arguments: str) -> Iterator[Run]:
    run = Run(home, output, *arguments)
    try:
        yield run
    except BaseException as error:
        for log in (output, *sorted(home.path.glob("instances/*.log"))):
            error.add_note(f"{log.name}:\n{log.read_text()[-6000:]}")
        raise
    finally:
        run.process.kill()
        run.process.wait()
        home.end()


def cluster(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "dev", "cluster", "--folder", home.path, *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def scraped(prometheus: str) -> set[str]:
    targets = httpx.get(f"{prometheus}/api/v1/targets").json()["data"]["activeTargets"]
    return {target["scrapeUrl"] for target in targets}


def assert_nothing_is_left(home: Home, family: set[int]) -> None:
    assert {pid: state(pid) for pid in family if state(pid) not in "XZ"} == {}
    assert not home.path.exists()


def test_it_comes_up_serves_has_another_leader_when_one_is_killed_and_leaves_nothing_behind(home, tmp_path):
    began = time.monotonic()
    with starting(home, tmp_path / "printed", *QUICK) as run:
        run.wait_for("leads$", READY_WITHIN_S)
        assert time.monotonic() - began <= READY_WITHIN_S
        about = json.loads((home.path / "cluster.json").read_text())
        places, pids = about["places"], about["pids"]
        assert sorted(pids) == ["titan-1", "titan-2", "titan-3"]
        assert set(run.said(r"http://\S+$|http://\S+(?=  \()")) == {
            place for place in places.values() if place.startswith("http://")
        }
        assert httpx.post(f"{places['api']}/shells", json=shell("s")).status_code == 201
        for name in pids:
            answer = httpx.get(f"{places[name]}/shells/cw", headers={"Cache-Control": "no-cache"})
            assert answer.json()["id"] == "s"
            checks = httpx.get(f"{places[name]}/health/ready").json()["checks"]
            assert {"database", "replica", "redis"} <= checks.keys()

        instances = {f"{places[name]}/metrics" for name in pids}
        wait_until(lambda: scraped(places["prometheus"]) == instances, what="Prometheus at work")

        again = cluster(home)
        assert again.returncode == 1
        assert "runs already" in again.stderr + again.stdout

        (leader,) = run.said("^(.*) leads$")
        os.kill(pids[leader], signal.SIGKILL)
        wait_until(lambda: len(run.said("^(.*) leads$")) == 2, within_s=30, what="another leader")
        assert run.said("^(.*) leads$")[1] != leader
        assert run.said("^(.*) ended with") == [leader]
        assert {httpx.get(f"{places['api']}/shells/cw").status_code for _ in range(6)} == {200}

        family = run.family()
        assert len(family) > 20
        os.killpg(run.process.pid, signal.SIGINT)  # as Ctrl-C has it: all of the terminal's foreground gets it
        assert run.process.wait(40) == 0, run.output.read_text()
        assert_nothing_is_left(home, family)


def test_a_run_that_was_killed_is_cleared_by_down(home, tmp_path):
    with starting(home, tmp_path / "printed") as run:
        wait_until(lambda: len(home.processes()) >= 5 or run.process.poll(), within_s=20, what="some of its processes")
        family = run.family()
        run.process.kill()
        run.process.wait()
        left = {pid for pid in family if state(pid) not in "XZ"}
        assert len(left) >= 5
        down = cluster(home, "down")
        assert (down.returncode, down.stdout) == (0, "ended, nothing of it is left\n")
        assert_nothing_is_left(home, family)
    assert cluster(home, "down").stdout == "no cluster runs\n"


def test_down_ends_a_run_that_has_only_begun(home, tmp_path):
    with starting(home, tmp_path / "printed") as run:
        wait_until(lambda: len(home.processes()) >= 5 or run.process.poll(), within_s=20, what="some of its processes")
        family = run.family()
        assert cluster(home, "down").stdout == "ended, nothing of it is left\n"
        assert run.process.wait(40) == 0
        assert "Traceback" not in run.output.read_text()
        assert_nothing_is_left(home, family)


def test_a_folder_that_holds_something_else_is_left_as_it_is(home):
    home.path.mkdir()
    (home.path / "thesis").write_text("years of work")
    for arguments in ((), ("down",)):
        done = cluster(home, *arguments)
        assert done.returncode == 1
        assert "holds something else" in done.stdout
    assert (home.path / "thesis").read_text() == "years of work"


def test_who_only_reads_in_the_folder_does_not_belong_to_the_cluster(home):
    home.path.mkdir()
    (home.path / "titan-cluster.lock").touch()  # what a killed run has left
    log = home.path / "log"
    log.write_text("x")
    reader = subprocess.Popen(["tail", "-f", log], stdout=subprocess.DEVNULL, cwd=home.path)
    with log.open("a") as output:
        writer = subprocess.Popen(["sleep", "600"], stdout=output)
    try:
        wait_until(lambda: home.processes() == {writer.pid}, what="one process")
        assert home.end()
        assert writer.wait(10) == -signal.SIGTERM
        assert reader.poll() is None
    finally:
        for process in (reader, writer):
            process.kill()
            process.wait()
