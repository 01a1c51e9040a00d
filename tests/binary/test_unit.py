"""The binary as systemd's unit has it: the file of deploy/systemd as it stands, its hardening included."""

import httpx

from tests.support.documents import shell
from tests.support.sandbox import hardened
from tests.support.server import free_port
from tests.support.systemd import UNIT, Unit, running
from titan.exits import ExitCode


def test_it_is_unpacked_served_and_drained_under_the_units_hardening(built, tmp_path):
    unit, port = Unit.read(UNIT), free_port()
    environment = {"TITAN_PORT": str(port)}
    prefix = hardened(tmp_path / "lib")
    with running(unit, tmp_path, program=[str(built.path)], prefix=prefix, environment=environment) as service:
        run = service.wait_ready()
        assert run.values("MAINPID") == [str(run.process.pid)]  # one process: systemd gets its exit code
        assert httpx.post(f"http://127.0.0.1:{port}/shells", json=shell("s")).status_code == 201
        assert service.stop() == ExitCode.DONE
    assert {path.name for path in service.state.iterdir()} >= {"titan.db", "program"}
