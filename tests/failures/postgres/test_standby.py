"""Fail-over to a standby; whoever manages it promotes, the instances only have to notice."""

from tests.chaos import faults
from tests.chaos.rigs import pair
from tests.chaos.round import QUICK, play


def test_a_synchronous_standby_is_away_for_a_while_then_has_to_take_over(folder):
    """Nothing is acknowledged while it is away; afterwards nothing acknowledged is lost."""
    with pair(folder, synchronous=True) as rig:
        away = play(rig.installation, faults.StandbyAway(rig.standby), QUICK, seed=1)
        assert away.findings == []
        assert away.refused > 0

        promoted = play(rig.installation, faults.Promoted(rig.standby), QUICK, seed=2)
        assert promoted.findings == []
        assert promoted.refused > 0


def test_an_asynchronous_standby_takes_over_and_what_it_had_not_received_is_gone(folder):
    """That is what asynchronous means, and the docs say it; here it shows that these checks notice a loss."""
    with pair(folder, synchronous=False) as rig:
        report = play(rig.installation, faults.PromotedLate(rig.standby), QUICK, seed=3)

    assert report.findings == []
    assert report.lost
