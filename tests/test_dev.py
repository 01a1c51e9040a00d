"""The script of the checkout, `./dev`: it stays out of the way, and makes the environment once.

Where the environment itself is not the subject, a stand-in for Python takes the place of the real one: a shell script
that notes what it is asked for.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.server import clean_environment
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[1]
OWN_TIME_S = 0.3

STAND_IN = """\
#!/bin/bash
note() { echo "$*" >> "$(dirname "$0")/../noted"; }
case "$*" in
  --version) echo "Python 3.11 (stand-in)" ;;
  "-c import sys; print("*) echo python3.11-venv ;;
  "-c "*) ;;
  "-m venv "*) FAILS
    mkdir -p .venv/bin; cp "$0" .venv/bin/python; note venv ;;
  "-m pip "*) note pip begins; sleep 0.3; note pip ends ;;
  "-P -m titan "*) echo served ;;
  *) echo "not expected: $*" >&2; exit 9 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path):
    """Return a function that makes a checkout without an environment; `fails` is what making one does first."""

    def make(fails: str = "") -> Path:
        folder = tmp_path / "a checkout"
        (folder / "bin").mkdir(parents=True)
        for name in ("dev", "requirements.lock"):
            shutil.copy(ROOT / name, folder / name)
        for name, text in {
            "python3": STAND_IN.replace("FAILS", fails),
            "apt-get": '#!/bin/bash\necho "$*" >&2\n',
        }.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        return folder

    return make


def start(folder: Path) -> subprocess.Popen[str]:
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [str(folder / "dev"), "serve"],
        env=clean_environment() | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_first_starts_at_once_make_one_environment(checkout):
    folder = checkout()
    both = [start(folder), start(folder)]
    assert [process.communicate(timeout=30)[0] for process in both] == ["served\n"] * 2
    assert (folder / "noted").read_text().splitlines() == ["venv"]
    assert (folder / ".venv/noted").read_text().splitlines() == ["pip begins", "pip ends"]


def test_an_environment_whose_python_is_gone_is_made_again(checkout):
    folder = checkout()
    assert start(folder).communicate(timeout=30)[0] == "served\n"
    (folder / ".venv/bin/python").unlink()
    assert start(folder).communicate(timeout=30)[0] == "served\n"
    assert (folder / "noted").read_text().splitlines() == ["venv"] * 2


def test_without_pythons_venv_the_package_of_this_python_is_installed_or_named(checkout):
    process = start(checkout('[ -e .here ] || { touch .here; echo "ensurepip is not available"; exit 1; }'))
    _, said = process.communicate(timeout=30)
    assert "python3.11-venv" in said
    assert process.returncode in (0, 2)


def test_an_environment_that_cannot_be_made_for_another_reason_is_said_so(checkout):
    process = start(checkout('echo "the disk is full"; exit 1'))
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert said.splitlines()[-1] == "dev: cannot make .venv: the disk is full"


def test_paths_in_arguments_are_those_of_the_callers_folder(tmp_path):
    (tmp_path / "machine.json").write_text("{}")
    (tmp_path / "trio.py").write_text("raise SystemExit('this is not the library')")
    done = dev("titan", "validate", "machine.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 documents in 1 file" in done.stdout


def test_an_unknown_command_is_usage():
    done = dev("sevre", cwd=ROOT)
    assert done.returncode == 2
    assert "unknown command: sevre" in done.stderr


def test_with_its_environment_there_it_costs_next_to_nothing():
    command = ["-m", "titan", "--version"]
    through = min(seconds([str(ROOT / "dev"), *command[1:]]) for _ in range(5))
    straight = min(seconds([sys.executable, *command]) for _ in range(5))
    assert through - straight <= OWN_TIME_S


def dev(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "dev"), *arguments],
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, timeout=60, check=True)
    return time.perf_counter() - began


SLOW_TEST = """
import time
import pytest

@pytest.fixture
def server(request):
    (request.path.parent / "started").touch()
    yield
    (request.path.parent / "ended").touch()

def test_it(server):
    time.sleep(60)
"""


def test_a_run_of_tests_that_is_told_to_end_ends_what_it_has_started(tmp_path):
    (tmp_path / "test_slow.py").write_text(SLOW_TEST)
    pytest_alone = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-c", "/dev/null", str(tmp_path)]
    as_a_job = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # which the second half of `./dev test` is
    process = subprocess.Popen([*as_a_job, *pytest_alone], cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_until((tmp_path / "started").exists, within_s=30, what="the test")
    process.terminate()
    assert process.wait(timeout=30) == pytest.ExitCode.INTERRUPTED
    assert (tmp_path / "ended").exists()
