"""The checks of this folder can fail: each finds what is known to be wrong."""

import pytest

from tests.chaos.controls import CONTROLS, missed, run
from tests.chaos.faults import InstanceKilled, SessionsEnded
from tests.chaos.round import QUICK, Profile, play


@pytest.mark.parametrize("name", CONTROLS)
def test_what_is_wrong_is_found(name, folder):
    """What is lost of what was acknowledged too early is a matter of milliseconds: it has three rounds to happen."""
    control = CONTROLS[name]

    for seed in range(1, 4):
        report = run(control, folder / str(seed), QUICK, seed=seed)
        if missed(report, control) == []:
            return
    pytest.fail(f"{missed(report, control)} was not found: {report.findings}")


def test_a_run_with_too_few_requests_is_called_no_proof(here):
    idle = Profile(phase_s=(0.0, 0.0), hold_s=(0.0, 0.0), after_s=0.0, clients=2, pause_s=0.1, warm_within_s=2.0)

    report = play(here, SessionsEnded(), idle, seed=1)

    assert any("proves nothing" in finding for finding in report.findings)


def test_requests_without_an_answer_are_found(here):
    """Those to a killed instance are excused in its scenario; here they are not."""
    killed = InstanceKilled()
    killed.victim = None

    report = play(here, killed, QUICK, seed=2)

    assert any("without an answer" in finding for finding in report.findings)
    assert any("a process of an instance has ended" in finding for finding in report.findings)
