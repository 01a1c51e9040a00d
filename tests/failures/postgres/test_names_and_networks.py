"""The way to the database: a name that comes to mean another server, a network that swallows packets."""

from tests.chaos import rooted
from tests.chaos.rigs import named, routed
from tests.chaos.round import QUICK, play


def test_the_name_moves_to_the_standby_that_was_promoted(folder, needs):
    needs("namespace")
    with named(folder) as rig:
        report = play(rig.installation, rooted.NameMoved(rig), QUICK, seed=1)

    assert report.findings == []


def test_the_name_moves_away_from_a_primary_that_was_made_read_only(folder, needs):
    needs("namespace")
    with named(folder) as rig:
        report = play(rig.installation, rooted.SwitchedOver(rig), QUICK, seed=2)

    assert report.findings == []


def test_the_network_swallows_everything_and_then_only_the_answers(folder, needs):
    needs("network")
    with routed(folder) as rig:
        both_ways = play(rig.installation, rooted.LinkDown(rig.network), QUICK, seed=3)
        assert both_ways.findings == []

        answers = play(rig.installation, rooted.RepliesLost(rig.network), QUICK, seed=4)
        assert answers.findings == []
