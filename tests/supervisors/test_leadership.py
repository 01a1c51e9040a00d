"""Whole processes elect one leader, wherever the lease is kept, and another one takes over at an orderly stop."""

import contextlib

import pytest

from tests.support.leaders import QUICK, ROLE, epoch, figures, leader, leads, wait_for_leader
from tests.support.redis import running_redis
from tests.support.waiting import wait_until

HANDED_OVER_S = 2.0


@pytest.fixture(scope="module")
def redis():
    with running_redis() as server:
        yield server


@pytest.fixture(params=["redis", "postgres"])
def settings(request):
    """Of instances that share a database: where their leases are kept."""
    if request.param == "postgres":
        return {}
    server = request.getfixturevalue("redis")
    server.flushall()
    return {"REDIS_URL": server.url()}


def test_the_one_process_of_the_embedded_store_leads_every_role(embedded):
    with embedded.serving() as server:
        wait_until(lambda: leads(server) and leads(server, "external-sync"), within_s=5)
        assert epoch(server) == 1
        assert ("titan_actor_up", "lease") not in figures(server)
    with embedded.serving() as server:
        wait_until(lambda: leads(server), within_s=5)
        assert epoch(server) == 2
        assert "Traceback" not in server.logs()


def test_of_several_instances_one_leads_and_every_one_says_so(shared, settings):
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(shared.serving(name, **settings)) for name in "abc"]
        first, _ = wait_for_leader(servers, within_s=5)
        followers = [server for server in servers if server is not first]
        for _ in range(20):
            assert leader(followers) is None
            assert all(("titan_leader_status", ROLE) in figures(server) for server in servers)
        assert epoch(first) == 1
        assert [epoch(server) for server in followers] == [0, 0]


def test_an_instance_that_stops_hands_over_at_once(shared, settings):
    with shared.serving("a", **settings) as one, shared.serving("b", **settings) as two:
        first, _ = wait_for_leader([one, two], within_s=5)
        other = two if first is one else one
        first.terminate()
        _, took_s = wait_for_leader([other], within_s=5)
        assert took_s < HANDED_OVER_S
        assert epoch(other) == 2
        assert first.wait() == 0
        assert "Traceback" not in first.logs()


def test_a_leader_that_is_killed_is_replaced_when_its_lease_has_run_out(shared, settings):
    with shared.serving("a", **settings, **QUICK) as one, shared.serving("b", **settings, **QUICK) as two:
        first, _ = wait_for_leader([one, two], within_s=5)
        other = two if first is one else one
        first.kill()
        _, took_s = wait_for_leader([other], within_s=5)
        assert took_s < 0.9 + 1.0
        assert epoch(other) == 2


def test_the_key_is_what_the_guide_shows(shared, redis):
    redis.flushall()
    with shared.serving("a", REDIS_URL=redis.url(), TITAN_INSTANCE_ID="titan-1") as server:
        wait_for_leader([server], within_s=5)
        assert redis.cli("GET", "leader:cleanup-worker").startswith("titan-1/")
        assert 25 <= int(redis.cli("TTL", "leader:cleanup-worker")) <= 30
    assert redis.cli("EXISTS", "leader:cleanup-worker", "leader:external-sync").endswith("0")
