"""The binary in the unit that users get, as it stands there: its hardening, its notify protocol, its way to stop."""

from pathlib import Path

import httpx

from tests.support import sandbox
from tests.support.documents import shell
from tests.support.server import free_port
from tests.support.systemd import UNIT, Unit, running
from tests.support.waiting import wait_until


def test_the_unit_holds_for_it_as_it_stands(built, tmp_path):
    unit = Unit.read(UNIT)
    port = free_port()
    with running(
        unit,
        tmp_path,
        program=[str(built.path)],
        prefix=sandbox.hardened(tmp_path / "lib"),
        environment={"TITAN_PORT": str(port)},
    ) as service:
        run = service.wait_ready()
        assert unit.one("NotifyAccess") == "main"  # which is the process that was started:
        assert run.values("MAINPID") == [str(run.process.pid)]
        assert Path(f"/proc/{run.process.pid}/exe").readlink().is_relative_to(service.state / "program")
        assert httpx.post(f"http://127.0.0.1:{port}/shells", json=shell("s")).status_code == 201
        wait_until(run.signs_of_life, what="a sign of life")
        assert service.stop() == 0
    assert (service.state / "titan.db").exists()
