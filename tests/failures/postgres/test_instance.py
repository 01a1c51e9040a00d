"""One of two instances dies or stops: the other one does not notice, and nothing that either acknowledged is lost."""

from tests.chaos import faults
from tests.chaos.round import QUICK, play


def test_killed(here):
    report = play(here, faults.InstanceKilled(), QUICK, seed=1)

    assert report.findings == []
    assert report.refused == 0  # by the other one


def test_frozen(here):
    report = play(here, faults.InstanceFrozen(), QUICK, seed=2)

    assert report.findings == []
