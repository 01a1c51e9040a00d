"""`titan leader` as an operator sees it, beside running servers: who leads, and handing over."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Titan
from tests.support.leaders import QUICK, leader, wait_for_leader
from tests.support.postgres import running_server
from tests.support.redis import running_redis
from tests.support.server import serving
from tests.support.waiting import wait_until

ROLE = "cleanup-worker"


@pytest.fixture(params=["postgres", "redis"])
def settings(request, monkeypatch, postgres, database):
    """Of servers and commands alike."""
    made = {"DATABASE_URL": postgres.url(database)}
    if request.param == "redis":
        with running_redis() as server:
            monkeypatch.setenv("REDIS_URL", server.url())
            yield made | {"REDIS_URL": server.url()}
    else:
        yield made


def shown(titan: Titan, code: int = 0) -> dict[str, Any]:
    ended = titan("leader", "status", "--json")
    assert ended.code == code, ended.err
    return {row["role"]: row for row in json.loads(ended.out)}


def test_nobody_leads_before_a_server_runs(titan, settings):
    rows = shown(titan, code=1)
    assert set(rows) == {ROLE, "external-sync"}
    assert all((row["leader"], row["epoch"]) == (None, 0) for row in rows.values())
    ended = titan("leader", "release", ROLE)
    assert (ended.code, ended.err) == (1, f"Error: nobody leads {ROLE}\n")


def test_who_leads_and_handing_over(titan, settings, tmp_path):
    one = {**settings, "TITAN_INSTANCE_ID": "titan-1"}
    two = {**settings, "TITAN_INSTANCE_ID": "titan-2"}
    with serving(tmp_path / "1", settings=one) as first, serving(tmp_path / "2", settings=two) as second:
        wait_for_leader([first, second], within_s=20)
        wait_for_leader([first, second], within_s=20, role="external-sync")
        row = shown(titan)[ROLE]
        assert row["leader"] in {"titan-1", "titan-2"}
        assert row["holder"].startswith(f"{row['leader']}/")
        assert row["epoch_of"] == row["holder"]
        assert row["epoch"] == 1
        assert 15 < row["left_s"] <= 30
        assert row["leader"] in titan("leader", "status").out
        ended = titan("leader", "release", ROLE)
        other = {"titan-1": "titan-2", "titan-2": "titan-1"}[row["leader"]]
        assert (ended.code, ended.out) == (0, f"{ROLE}: {row['leader']} let go; {other} leads\n")
        wait_until(lambda: leader([first, second]) is not None)
        after = shown(titan)
        assert (after[ROLE]["leader"], after[ROLE]["epoch"]) == (other, 2)
        assert after["external-sync"]["epoch"] == 1


def test_the_lease_of_a_dead_leader_can_be_taken_away(titan, settings, tmp_path):
    with serving(tmp_path / "1", settings={**settings, "TITAN_INSTANCE_ID": "dead"}) as server:
        wait_for_leader([server], within_s=20)
        server.kill()
        ended = titan("leader", "release", ROLE)
        assert ended.code == 1
        assert "dead did not let go" in ended.err
        assert "release asked for" in titan("leader", "status").out
        ended = titan("leader", "release", ROLE, "--force")
        assert (ended.code, ended.out) == (0, f"{ROLE}: dead let go; nobody has taken over yet\n")
        with serving(tmp_path / "2", settings={**settings, **QUICK}) as next_one:
            assert wait_for_leader([next_one], within_s=20)[1] < 15  # the dead one's lease would have lasted for 30


def test_of_the_embedded_store_the_server_leads(titan, data_dir, tmp_path):
    assert titan("leader", "status", data_dir=data_dir).code == 1
    with serving(data_dir, settings={"TITAN_INSTANCE_ID": "edge"}) as server:
        wait_for_leader([server], within_s=20)
        wait_for_leader([server], within_s=20, role="external-sync")
        row = shown(titan)[ROLE]
        assert (row["leader"], row["epoch"], row["left_s"]) == ("edge", 1, None)
        ended = titan("leader", "release", ROLE)
        assert ended.code == 1
        assert "nobody to hand over to" in ended.err
    assert shown(titan, code=1)[ROLE]["leader"] is None


def test_redis_that_is_away_is_one_line(titan, database, monkeypatch):
    with running_redis() as server:
        monkeypatch.setenv("REDIS_URL", server.url())
    ended = titan("leader", "status")
    assert ended.code == 1
    assert ended.err.startswith("Error: the election cannot be asked: Connection refused")
    assert len(ended.err.splitlines()) == 1


def test_a_database_that_is_away_is_one_line(titan, monkeypatch):
    with running_server() as server:
        url = server.create_database("gone")
    monkeypatch.setenv("DATABASE_URL", url)
    ended = titan("leader", "status")
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 1


def test_an_unknown_role_is_a_usage_error(titan, database):
    assert titan("leader", "release", "king").code == 2
