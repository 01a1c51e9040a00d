"""The unit file that users get: systemd takes it, and what it says is what happens."""

import re
import stat
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.support import hooked, sandbox
from tests.support.documents import shell
from tests.support.postgres import Postgres
from tests.support.postgres_store import fresh_database
from tests.support.server import free_port
from tests.support.systemd import UNIT, Service, Unit, running
from tests.support.waiting import wait_until
from titan.exits import ExitCode
from titan.settings import Settings

unit = Unit.read(UNIT)
SENSIBLE_TO_RESTART = set(ExitCode) - {ExitCode.USAGE, ExitCode.SCHEMA}


@pytest.fixture
def port() -> int:
    return free_port()


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def at(port: int, **more: str) -> dict[str, str]:
    return {"TITAN_PORT": str(port), **more}


# --- what systemd says of it ---


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if problem := sandbox.missing():
        pytest.skip(problem)
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def test_systemd_finds_nothing_wrong_with_it(tmp_path):
    """Where there is no /usr/local/bin/titan, which is all that could be wrong, any program takes its place."""
    installed = tmp_path / UNIT.name
    installed.write_text(UNIT.read_text().replace("/usr/local/bin/titan", "/bin/true"))
    done = analyze("verify", "--man=no", str(installed))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_verify_does_see_a_slip(tmp_path):
    spoilt = tmp_path / UNIT.name
    spoilt.write_text(UNIT.read_text().replace("ProtectHome=", "ProtectHomes="))
    assert "ProtectHomes" in analyze("verify", "--man=no", str(spoilt)).stderr


def test_its_exposure_is_at_most_1_5():
    done = analyze("security", "--offline=yes", "--threshold=15", str(UNIT))
    assert done.returncode == 0, done.stdout


# --- its figures and ours ---


def test_time_limits_leave_the_servers_own_the_first_word():
    assert unit.seconds("TimeoutStopSec") >= Settings().process.hard_deadline_s + 5
    assert unit.seconds("WatchdogSec") >= 10


def test_it_is_started_again_exactly_where_that_can_help():
    assert {int(word) for word in unit.words("RestartPreventExitStatus")} == set(ExitCode) - SENSIBLE_TO_RESTART
    assert unit.one("Restart") == "on-failure"


def test_its_user_is_the_one_that_sysusers_makes():
    line = [line for line in (UNIT.parent / "titan-aas.sysusers").read_text().splitlines() if line.startswith("u ")]
    assert line[0].split()[1] == unit.one("User") == unit.one("Group")


def test_the_steps_of_its_readme_are_shell_and_name_what_is_there(tmp_path):
    page = (UNIT.parent / "README.md").read_text()
    for number, block in enumerate(re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)):
        (tmp_path / f"{number}.sh").write_text(block)
        assert subprocess.run(["bash", "-n", str(tmp_path / f"{number}.sh")], check=False).returncode == 0
    installed = set(re.findall(r"^install -m 644 (?:-D )?(\S+) ", page, re.MULTILINE))
    assert installed == {path.name for path in UNIT.parent.iterdir()} - {"README.md"}
    assert set(re.findall(r"/etc/credstore/(titan-aas\.[\w-]+)", page)) <= {
        word.partition(":")[2] for word in unit.words("LoadCredential")
    }


# --- its life ---


def test_it_tells_of_its_start_and_its_life_and_its_stop(tmp_path, port):
    watchdog_s = 3.0
    with running(unit.but(WatchdogSec=f"{watchdog_s:g}s"), tmp_path, environment=at(port)) as service:
        run = service.wait_ready()
        assert f"serving on port {port}" in run.values("STATUS")
        assert run.values("MAINPID") in ([], [str(run.process.pid)])  # systemd gets exit codes of its child alone
        assert httpx.post(f"{url(port)}/shells", json=shell("s")).status_code == 201
        wait_until(lambda: len(run.signs_of_life()) >= 3, what="signs of life")
        assert service.stop() == ExitCode.DONE
    times = run.signs_of_life()
    assert max(after - before for before, after in pairwise(times)) < watchdog_s
    assert run.values("STOPPING") == ["1"]
    assert len(service.runs) == 1
    assert (service.state / "titan.db").exists()
    assert stat.S_IMODE((service.state / "titan.db").stat().st_mode) & 0o077 == 0
    assert '"event"' in service.text()  # JSON, as the unit asks for


def test_a_loop_that_stands_still_is_ended_and_another_goes_on_with_what_was_written(tmp_path, port):
    hook = tmp_path / "hook"
    with running(
        unit.but(WatchdogSec="3s", RestartSec="100ms"),
        tmp_path,
        program=hooked.PROGRAM,
        environment=at(port, HOOK_SOCKET=str(hook)),
    ) as service:
        service.wait_ready()
        assert httpx.post(f"{url(port)}/shells", json=shell("s")).status_code == 201
        assert hooked.order(hook, "block 60") == "done"
        wait_until(lambda: len(service.runs) == 2, within_s=15, what="another process")
        assert service.runs[0].ended_by_watchdog
        service.wait_ready()
        assert httpx.get(f"{url(port)}/shells/cw").json()["id"] == "s"
        assert service.stop() == ExitCode.DONE


def test_a_root_that_gave_up_is_started_again(tmp_path, port):
    hook = tmp_path / "hook"
    with running(unit, tmp_path, program=hooked.PROGRAM, environment=at(port, HOOK_SOCKET=str(hook))) as service:
        service.wait_ready()
        give_up(service, hook)
        wait_until(lambda: len(service.runs) == 2, within_s=20, what="another process")
        assert service.runs[0].process.returncode == ExitCode.GAVE_UP
        service.wait_ready()


def give_up(service: Service, hook: Path) -> None:
    """Have its telemetry crash until the root gives up."""
    process = service.last.process
    while process.poll() is None:
        with suppress(OSError):  # it does not listen yet, or no more
            hooked.order(hook, "fail titan/telemetry")


def test_a_configuration_that_is_wrong_is_not_tried_again(tmp_path, port):
    with running(unit, tmp_path, environment=at(port, TITAN_HTTP__KEEP_ALIVE_S="never")) as service:
        assert service.wait_ended() == ExitCode.USAGE
    assert len(service.runs) == 1
    assert "TITAN_HTTP__KEEP_ALIVE_S" in service.text()


def test_secrets_come_as_credentials_and_a_schema_that_does_not_fit_is_not_tried_again(
    tmp_path, port, postgres: Postgres
):
    postgres.create_database("unfit")
    secret = {"titan-aas.database-url": postgres.url("unfit")}
    with running(unit, tmp_path, environment=at(port), credentials=secret) as service:
        assert service.wait_ended() == ExitCode.SCHEMA
    assert len(service.runs) == 1
    assert "titan db upgrade" in service.text()


# --- hardened ---


def test_it_serves_either_store_under_its_own_hardening(tmp_path, port, postgres: Postgres):
    for name in ("embedded", "shared"):
        folder = tmp_path / name
        folder.mkdir()
        with fresh_database(postgres) as database:
            by_name = postgres.url(database).replace("127.0.0.1", "localhost")
            secret = {"titan-aas.database-url": by_name} if name == "shared" else {}
            prefix = sandbox.hardened(folder / "lib")
            with running(unit, folder, prefix=prefix, environment=at(port), credentials=secret) as service:
                service.wait_ready()
                target = f"{url(port)}/shells/cw/asset-information/thumbnail"
                assert httpx.post(f"{url(port)}/shells", json=shell("s")).status_code == 201
                assert httpx.put(target, files={"file": ("a.png", b"x" * 100_000)}).status_code == 204
                assert len(httpx.get(target).content) == 100_000
                assert "process_start_time_seconds" in httpx.get(f"{url(port)}/metrics").text
                assert service.stop() == ExitCode.DONE


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
        "import os; os.setpriority(0, 0, 5)",
        "import os; os.chroot('/')",
    ],
)
def test_the_hardening_of_the_test_above_is_real(attempt):
    if problem := sandbox.missing():
        pytest.skip(problem)
    done = subprocess.run(
        [*sandbox.CONFINED, sys.executable, "-c", attempt], capture_output=True, text=True, timeout=20, check=False
    )
    assert "Error" in done.stderr.splitlines()[-1]
    assert subprocess.run([*sandbox.CONFINED, sys.executable, "-c", "pass"], check=False, timeout=20).returncode == 0
