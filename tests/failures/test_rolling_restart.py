"""An operator restarts the instances behind a balancer one after the other while clients write and read."""

import pytest

from tests.support import haproxy, nginx
from tests.support.rolling import kill, restart_in_turn

# The two stores differ, so a document may be unknown to the instance that is asked.
EXPECTED = {("POST", 201), ("GET", 200), ("GET", 404), ("PUT", 204), ("PUT", 201), ("DELETE", 204), ("DELETE", 404)}


@pytest.mark.parametrize("balancer", [nginx, haproxy], ids=["nginx", "haproxy"])
def test_no_request_is_lost_over_four_restarts(tmp_path, balancer):
    methods = ("POST", "GET", "PUT", "DELETE")
    sent = restart_in_turn(tmp_path, restarts=4, clients=16, methods=methods, balancing=balancer.balancing)

    assert sent.lost() == []
    assert set(sent.statuses()) <= EXPECTED
    assert len(sent.outcomes) >= 2_000  # else the restarts met no load worth the name


def test_the_clients_see_what_a_kill_loses(tmp_path):
    """The control of the test above: its clients do notice a request that nobody answered."""
    sent = restart_in_turn(tmp_path, restarts=2, clients=16, end=kill)

    assert "POST" in {outcome.method for outcome in sent.lost()}  # nginx asks the other instance for a lost GET
