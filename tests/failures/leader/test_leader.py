"""What may happen to a leader, its lease and its ways to the servers: one works, nothing is done twice."""

import pytest

from tests.chaos.company import SUB_SECOND, company, judge
from tests.chaos.leader_faults import HITS, frozen_before_its_effect, play_hit


@pytest.fixture(scope="module")
def with_redis(tmp_path_factory):
    with company(tmp_path_factory.mktemp("redis"), SUB_SECOND) as here:
        yield here


@pytest.fixture(scope="module")
def without_redis(tmp_path_factory):
    with company(tmp_path_factory.mktemp("postgres"), SUB_SECOND, has_redis=False) as here:
        yield here


@pytest.mark.parametrize("name", HITS)
def test_with_the_lease_in_redis(with_redis, name):
    assert play_hit(with_redis, HITS[name]).findings == []


@pytest.mark.parametrize("name", [name for name, hit in HITS.items() if not hit.needs_redis])
def test_with_the_lease_in_the_database(without_redis, name):
    assert play_hit(without_redis, HITS[name]).findings == []


def test_control_without_the_fence_something_is_done_twice(tmp_path):
    with company(tmp_path, SUB_SECOND, is_fenced=False) as here:
        here.wait_for_work()
        frozen_before_its_effect(here)
        here.wait_for_work()
        found = here.findings()
    assert [line for line in found if line.startswith("done twice")]
    assert [line for line in found if "although term" in line]


def test_what_the_judge_finds():
    assert judge([(1, 1, 1), (2, 1, 1), (3, 2, 2)]) == []
    assert judge([(1, 1, 1), (2, 2, 2), (2, 2, 2)]) == ["done twice: 2"]
    assert judge([(1, 1, 1), (3, 1, 1)]) == ["not done: 2"]
    assert judge([(1, 1, 1), (2, 1, 2)]) == ["2 was written in term 1 although term 2 had begun"]
