"""The database server dies, stops answering, restarts, has no connection left, or is locked by somebody else.

What holds in every one of these is said, and judged, in tests/chaos/round.py. Afterwards the same two processes serve
the next test.
"""

from tests.chaos import faults
from tests.chaos.round import QUICK, play


def test_killed(here):
    report = play(here, faults.Killed(), QUICK, seed=1)

    assert report.findings == []
    assert report.refused > 0  # else the clients met no outage


def test_frozen(here):
    report = play(here, faults.Frozen(), QUICK, seed=2)

    assert report.findings == []
    assert report.refused > 0


def test_restarted(here):
    report = play(here, faults.Restarted(), QUICK, seed=3)

    assert report.findings == []


def test_every_session_is_ended_by_an_administrator(here):
    report = play(here, faults.SessionsEnded(), QUICK, seed=4)

    assert report.findings == []
    assert report.ready_s < 1.0  # the server never went away


def test_others_take_all_connections_and_those_that_are_open_do_the_work(here):
    report = play(here, faults.Crowded(), QUICK, seed=5)

    assert report.findings == []


def test_others_take_all_connections_and_none_is_left(here):
    report = play(here, faults.CrowdedOut(), QUICK, seed=6)

    assert report.findings == []
    assert report.refused > 0


def test_others_take_all_connections_but_that_by_which_an_instance_watches(here):
    """Who watches is not enough to serve: the instance says that it cannot, and nothing of it crashes."""
    report = play(here, faults.PoolCrowdedOut(), QUICK, seed=8)

    assert report.findings == []
    assert report.refused > 0


def test_somebody_locks_the_table(here):
    """The server is well, so the instances stay ready; who finds every connection busy is told so at once."""
    fault = faults.TableLocked()
    report = play(here, fault, QUICK, seed=7)

    assert report.findings == []
    waited = sorted(request.took_s for request in fault.burst.requests if request.status == 503)
    assert len(waited) > 40
    assert waited[len(waited) // 2] < 0.5  # 0.25 s in the queue; the rest is the machine's
