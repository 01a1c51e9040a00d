"""The alerts that users get: each fires and is silent when it should, and asks for what there is."""

import re

import httpx
import pytest
import yaml

from tests.support.postgres import Postgres
from tests.support.postgres_store import fresh_database
from tests.support.prometheus import ALERTS, CONFIGURATION, FILES, promtool, watching
from tests.support.redis import running_redis
from tests.support.server import ROOT, serving
from tests.support.shared import shared
from tests.support.waiting import wait_until

RULES = {rule["alert"]: rule for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]}
UNIT_TESTS = FILES / "tests" / "ha.yml"


def test_prometheus_takes_the_files():
    assert "8 rules found" in promtool("check", "rules", ALERTS)
    promtool("check", "config", CONFIGURATION)


def test_each_alert_fires_and_is_silent_in_its_unit_tests():
    promtool("test", "rules", UNIT_TESTS)
    expected: dict[str, set[bool]] = {}
    for case in yaml.safe_load(UNIT_TESTS.read_text())["tests"]:
        for look in case["alert_rule_test"]:
            expected.setdefault(look["alertname"], set()).add(bool(look["exp_alerts"]))
    assert expected == {name: {True, False} for name in RULES}


def test_the_guides_alerts_are_as_the_guide_has_them():
    text = shared("design/ha-guidance.md").read_text()
    guide = yaml.safe_load(text.partition("# prometheus/alerts/ha.yml\n")[2].partition("```")[0])["groups"][0]
    assert guide["name"] == "titan-ha" == yaml.safe_load(ALERTS.read_text())["groups"][0]["name"]
    assert len(guide["rules"]) == 3
    for rule in guide["rules"]:
        ours = RULES[rule["alert"]]
        assert {**ours, "annotations": {"summary": ours["annotations"]["summary"]}} == rule


@pytest.mark.parametrize("name", RULES)
def test_each_alert_has_a_section_of_its_name_in_the_runbook(name):
    page, _, anchor = RULES[name]["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor == name.lower()
    assert name in headings


def test_the_runbook_has_no_section_of_an_alert_that_there_is_not():
    headings = re.findall(r"^## (Titan\w+)$", (ROOT / "deploy/runbook/alerts.md").read_text(), re.MULTILINE)
    assert headings == list(RULES)


@pytest.fixture(scope="module")
def watched(postgres: Postgres, tmp_path_factory):
    """An instance with all that it can have, and Prometheus over it and over an address where nobody is."""
    folder = tmp_path_factory.mktemp("watched")
    with fresh_database(postgres) as database, running_redis() as redis:
        settings = {"DATABASE_URL": postgres.url(database), "REDIS_URL": redis.url()}
        with (
            serving(folder / "data", settings=settings) as server,
            watching(folder / "prometheus", [server.port, 1], every_s=1) as prometheus,
        ):
            httpx.get(f"{server.url}/shells")
            wait_until(lambda: prometheus.up() == 1, within_s=20, what="an instance that is asked")
            yield prometheus


def selectors(expression: str) -> list[str]:
    """Return each metric of an expression, with the labels by which it is chosen."""
    return re.findall(r"\b(?:titan_|http_|pg_|redis_|up\b)\w*(?:\{[^}]*\})?", expression)


@pytest.mark.parametrize("name", RULES)
def test_what_an_alert_asks_for_is_there_in_a_live_instance(watched, name):
    asked = selectors(RULES[name]["expr"])
    assert asked
    for selector in asked:
        there = re.sub(r'status=~"5\.\."', 'status=~"..."', selector)  # no failure so far
        wait_until(lambda: watched.query(there), within_s=20, what=there)  # noqa: B023


def test_a_real_prometheus_fires_for_the_instance_that_is_away_and_for_nothing_else(watched):
    wait_until(lambda: watched.firing() == {"TitanInstanceDown"}, within_s=20, what="one alert, and no other")
    down = watched.query('ALERTS{alertname="TitanInstanceDown",alertstate="firing"}')
    assert "127.0.0.1:1" in {each["metric"]["instance"] for each in down}
