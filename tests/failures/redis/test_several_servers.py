"""Sentinels and a cluster mend themselves; the instances only have to notice."""

from tests.chaos.redis_faults import ClusterNodeLost, ClusterSlotsMoved, SentinelsFailOverToNothing
from tests.chaos.redis_rigs import with_cluster, with_sentinels
from tests.chaos.round import QUICK, play


def test_sentinels_fail_over(tmp_path):
    with with_sentinels(tmp_path) as rig:
        report = play(rig.installation, SentinelsFailOverToNothing(rig.redis), QUICK, seed=1)

    assert report.findings == []


def test_slots_of_the_cluster_move_and_a_node_is_lost(tmp_path):
    with with_cluster(tmp_path) as rig:
        moved = play(rig.installation, ClusterSlotsMoved(rig.redis), QUICK, seed=1)
        lost = play(rig.installation, ClusterNodeLost(rig.redis), QUICK, seed=1)

    assert moved.findings == []
    assert lost.findings == []
