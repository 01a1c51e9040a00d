"""Clients follow events while what tells them is killed or restarted: both instances in turn, PostgreSQL, Redis."""

from tests.chaos.redis_rigs import with_redis
from tests.chaos.told import WAYS, followed, hurt
from tests.support.tireless import Tireless, TirelessSocket
from tests.support.waiting import wait_until

ENOUGH = 40
"""Events between two blows."""


def test_no_event_is_lost_whatever_is_killed(tmp_path):
    with with_redis(tmp_path) as rig:
        with followed(rig.installation, seed=1) as work:
            for which in range(WAYS):
                enough = len(work.writers.acknowledged) + ENOUGH
                wait_until(lambda: len(work.writers.acknowledged) >= enough, within_s=30, what="more writes")  # noqa: B023
                hurt(rig.installation, rig.redis, which)
            enough = len(work.writers.acknowledged) + ENOUGH
            wait_until(lambda: len(work.writers.acknowledged) >= enough, within_s=30, what="writes after it all")
        report = work.judge("events", 1, wanted=(WAYS + 1) * ENOUGH)
    assert report.findings == []
    for kind in (Tireless, TirelessSocket):
        assert "leaving" in {reason for each in work.followers if type(each) is kind for reason in each.farewells}
