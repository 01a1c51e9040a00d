"""Readiness is the sum of what the parts say of themselves."""

import pytest

from titan.telemetry.health import Check, CheckResult, Status, readiness

UP, DEGRADED, DOWN = (CheckResult(status, 0.0, "") for status in (Status.UP, Status.DEGRADED, Status.DOWN))


def test_a_check_is_down_until_its_owner_has_spoken():
    assert Check("database", wall_clock=lambda: 7.0).result == CheckResult(Status.DOWN, 7.0, "not started")


def test_since_moves_and_others_are_told_with_the_status_alone():
    now = 1.0
    changes: list[tuple[str, CheckResult]] = []
    check = Check("database", wall_clock=lambda: now, on_change=lambda *change: changes.append(change))
    assert check.set(Status.UP)
    now = 2.0
    assert not check.set(Status.UP, "still")
    assert check.result == CheckResult(Status.UP, 1.0, "still")
    now = 3.0
    assert check.set(Status.DEGRADED, "slow")
    assert check.result == CheckResult(Status.DEGRADED, 3.0, "slow")
    assert changes == [("database", CheckResult(Status.UP, 1.0, "")), ("database", check.result)]


@pytest.mark.parametrize(
    ("checks", "draining", "status", "can_serve"),
    [
        ({}, False, "ready", True),
        ({"a": UP, "b": UP}, False, "ready", True),
        ({"a": UP, "b": DEGRADED}, False, "degraded", True),
        ({"a": DOWN, "b": DEGRADED}, False, "unready", False),
        ({"a": UP}, True, "unready", False),
        ({"a": DEGRADED}, True, "unready", False),
    ],
)
def test_one_check_down_or_a_drain_makes_it_unready_one_degraded_makes_it_degraded(checks, draining, status, can_serve):
    summed = readiness(checks, draining=draining)
    assert (summed.status, summed.can_serve, summed.checks) == (status, can_serve, checks)
