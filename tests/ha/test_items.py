"""What follows from what was seen: every item of the checklist, with everything right and with each thing wrong."""

from dataclasses import replace
from typing import Any

import pytest

from tests.ha.evidence import (
    DATABASE,
    LABELS,
    PODS,
    REDIS,
    STANDBY,
    TERM,
    WELL,
    answer,
    autoscaler,
    budget,
    cluster,
    deployment,
    ingress,
    pod,
    rule,
    target,
    watcher,
)
from tests.support.shared import shared
from titan.ha.evidence import Asked, Embedded, NoRedis, Unknown
from titan.ha.items import CHECKLIST, answers
from titan.ha.verdict import Verdict
from titan.ha.watching import ALERTS
from titan.redis.standing import Clustered, Single

IN = {"key": "app", "operator": "In", "values": ["titan-aas"]}
EXISTS = {"key": "app", "operator": "Exists"}
NEITHER = {"key": "app", "operator": "NotIn", "values": ["other"]}
ABSENT = {"key": "app", "operator": "DoesNotExist"}
CLUSTER = Clustered("ok", 3, ())
AWAY = Unknown("Connection refused")
ONE_UP = watcher(targets=[target(1), target(2, "down")])
ONE_NODE = [pod(number, "node-1") for number in range(3)]


def at(number: int, said: str = "ready") -> Asked:
    return Asked(f"http://titan-{number}:8080", said)


def on(**parts: Any) -> dict[str, object]:
    """Spoil what the database said."""
    return {"database": replace(DATABASE, **parts)}


def of(*documents: dict[str, Any]) -> dict[str, object]:
    return {"cluster": cluster(*documents)}


PASSES = [
    ("instances", {}, "titan-1, titan-2, titan-3"),
    ("instances", {"instances": (at(1), at(2, "degraded"), at(3))}, "3 of the URLs"),
    ("instances", on(is_pooled=True, instances=()), "titan-1:8080, titan-2:8080, titan-3:8080"),
    ("instances", {"database": AWAY}, "up in Prometheus"),
    ("replication", {}, "pg-2 streaming (async, 0 bytes behind, 0.1 s late)"),
    ("replication", on(standbys=(STANDBY, replace(STANDBY, state="backup"))), "streaming"),
    ("replication", on(standbys=(STANDBY, replace(STANDBY, lag_s=3600.0))), "3600.0 s late"),
    ("replication", on(standbys=(replace(STANDBY, lag_s=None),)), "streaming"),
    ("redis", {}, "3 Sentinels with quorum 2, 2 replicas well"),
    ("redis", {"redis": CLUSTER}, "cluster ok, 3 masters"),
    ("balancer", {}, "the Ingress names /health/live"),
    ("balancer", {"balancer": at(0)}, "says ready"),
    ("balancer", {"cluster": AWAY, "balancer": at(0)}, "says ready"),
    ("balancer", of(ingress()) | {"balancer": at(0)}, "says ready"),
    ("disruption-budget", {}, "keeps 2 of 3 pods, disruptions allowed now: 1"),
    ("disruption-budget", of(deployment(), budget(minAvailable="66%")), "keeps 2 of 3"),
    ("disruption-budget", of(deployment(), budget(maxUnavailable=1)), "keeps 2 of 3"),
    ("disruption-budget", of(deployment(), budget({"matchExpressions": [IN]})), "keeps 2 of 3"),
    ("disruption-budget", of(deployment(), budget({"matchExpressions": [EXISTS, NEITHER]})), "keeps 2 of 3"),
    ("anti-affinity", {}, "3 pods run on 3 nodes"),
    ("anti-affinity", of(deployment()), "0 pods"),
    (
        "anti-affinity",
        of(deployment(affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]}}), *PODS),
        "3 nodes",
    ),
    ("alerts", {}, f"{len(ALERTS)} alerts in group titan-ha; 3 of 3 targets up"),
    ("runbook", {}, "runbook_url"),
    ("connections", {}, "13 instances x 22 connections"),
    ("connections", {"max_instances": 3, "cluster": AWAY}, "3 instances x 22"),
    ("connections", {"pool_size": 5}, "13 instances x 7"),
    ("connections", of(deployment()), "6 instances"),
    ("connections", {"database": Embedded()}, "no connections"),
]

FAILS = [
    ("instances", on(instances=("titan-1", "titan-2")), "titan-1, titan-2", "TITAN_INSTANCE_ID"),
    ("instances", on(instances=()), "none", "one more"),
    ("instances", {"instances": (at(1), at(2), at(3, "unready"))}, "titan-3:8080 unready", "one more"),
    ("instances", {"database": AWAY, "watcher": ONE_UP}, "titan-1", "one more"),
    ("instances", {"database": Embedded()}, "one process", "DATABASE_URL"),
    ("replication", on(standbys=()), "no standby", "pg_basebackup"),
    ("replication", on(standbys=(replace(STANDBY, state="catchup"),)), "catchup", "log"),
    ("replication", {"database": Embedded()}, "embedded", "DATABASE_URL"),
    ("replication", on(standbys=(replace(STANDBY, behind_bytes=None),)), "replays nothing", "archive"),
    ("replication", on(standbys=(replace(STANDBY, lag_s=61.0),)), "61.0 s late", "holds up"),
    ("instances", of(deployment(), autoscaler(least=2)), "down to 2", "minReplicas"),
    ("instances", of(deployment(), autoscaler(least=None)), "down to 1", "minReplicas"),
    ("redis", {"redis": NoRedis()}, "REDIS_URL", "Sentinels"),
    ("redis", {"redis": Single(1)}, "one server (1 replicas", "sentinelMaster"),
    ("redis", {"redis": replace(REDIS, sentinels=2)}, "2 Sentinels", "at least three"),
    ("redis", {"redis": replace(REDIS, answered=2)}, "2 of 3", "bring back"),
    ("redis", {"redis": replace(REDIS, quorum=1)}, "quorum 1", "more than one"),
    ("redis", {"redis": replace(REDIS, quorum=4)}, "quorum 4", "at most"),
    ("redis", {"redis": replace(REDIS, replicas=0)}, "0 replicas", "replica that can be promoted"),
    ("redis", {"redis": replace(REDIS, trouble="NOQUORUM 1 usable")}, "Sentinels", "NOQUORUM 1 usable"),
    ("redis", {"redis": replace(CLUSTER, state="fail")}, "cluster fail", "--cluster check"),
    ("redis", {"redis": replace(CLUSTER, masters=2)}, "2 masters", "three masters"),
    ("redis", {"redis": replace(CLUSTER, without_replica=("10.0.0.1:6379",))}, "cluster", "10.0.0.1:6379"),
    ("balancer", {"balancer": at(0, "answered 404")}, "answered 404", "pass /health/ready"),
    ("balancer", {"balancer": at(0, "unready")}, "unready", "pass /health/ready"),
    ("balancer", of(deployment(containers=[{"name": "titan-aas"}]), ingress()), "no container", "apply"),
    ("disruption-budget", of(deployment()), "no PodDisruptionBudget titan-aas-pdb in twins", "apply"),
    ("disruption-budget", of(deployment(), budget(minAvailable=1)), "keeps 1 of 3", "66%"),
    ("disruption-budget", of(deployment(), budget(maxUnavailable="50%")), "keeps 1 of 3", "66%"),
    ("disruption-budget", of(deployment(), budget({"matchLabels": {"app": "other"}})), "does not select", "app:"),
    (
        "disruption-budget",
        of(deployment(), budget({"matchLabels": LABELS, "matchExpressions": [{"key": "app"}]})),
        "does not select",
        "app:",
    ),
    ("disruption-budget", of(deployment(), budget({"matchExpressions": [IN, ABSENT]})), "does not select", "app:"),
    ("disruption-budget", of(deployment(), budget({"matchLabels": {}})), "does not select", "app:"),
    ("anti-affinity", of(deployment(affinity=None), *PODS), "no podAntiAffinity", "apply"),
    ("anti-affinity", of(deployment(), *ONE_NODE), "3 pods run on 1 nodes", "more nodes"),
    ("alerts", {"watcher": watcher([rule(name) for name in ALERTS[1:]])}, ALERTS[0], "deploy/prometheus"),
    ("alerts", {"watcher": watcher(group="other")}, "lacks", "deploy/prometheus"),
    ("alerts", {"watcher": watcher(targets=[])}, "nothing is scraped", "scrape"),
    ("alerts", {"watcher": ONE_UP}, "1 of 2", "titan-2:8080"),
    (
        "alerts",
        {"watcher": watcher([rule(name, health="err", lastError="many-to-many") for name in ALERTS])},
        "many-to-many",
        "mend",
    ),
    ("runbook", {"watcher": watcher([rule(ALERTS[0], annotations={})])}, ALERTS[0], "page"),
    ("runbook", {"watcher": watcher([])}, "no alert", "deploy/prometheus"),
    ("connections", on(max_connections=100), "= 286; max_connections 100 less 3 reserved = 97", "to 289"),
    ("connections", on(max_connections=288), "286", "POOL_SIZE to at most 19"),
    ("connections", {"max_instances": 14}, "14 instances", "max_connections"),
]  # fmt: skip

UNTOLD = [
    ("instances", {"database": AWAY, "watcher": Unknown("no Prometheus was named")}, "refused", "--url"),
    ("instances", {**on(is_pooled=True), "watcher": Unknown("none")}, "pooler", "--url"),
    ("replication", {"database": AWAY}, "refused", "DATABASE_URL"),
    ("replication", on(standbys=(replace(STANDBY, state=None),)), "may not see", "pg_monitor"),
    ("redis", {"redis": AWAY}, "refused", "reached"),
    ("balancer", {"cluster": AWAY}, "refused", "--balancer"),
    ("balancer", of(ingress()), "no Deployment titan-aas in namespace twins", "--namespace"),
    ("disruption-budget", {"cluster": AWAY}, "refused", "--namespace"),
    ("disruption-budget", of(budget()), "no Deployment", "--namespace"),
    ("anti-affinity", {"cluster": AWAY}, "refused", "--namespace"),
    ("anti-affinity", of(*PODS), "no Deployment", "--namespace"),
    ("alerts", {"watcher": AWAY}, "refused", "--prometheus"),
    ("alerts", {"watcher": watcher(targets=[target(1), target(2, "unknown")])}, "not asked yet", "again"),
    ("runbook", {"watcher": AWAY}, "refused", "deploy/runbook"),
    ("recovery", {}, "nothing records a drill", "restore"),
    ("connections", {"database": AWAY}, "refused", "DATABASE_URL"),
    ("connections", on(is_pooled=True), "pooler", "default_pool_size"),
    ("connections", {"cluster": AWAY}, "refused", "--max-replicas"),
    ("connections", of(autoscaler()), "no Deployment", "--max-replicas"),
    ("connections", of({**deployment(), "spec": {}}), "neither", "--max-replicas"),
]


@pytest.mark.parametrize(("item", "spoiled", "reason"), PASSES)
def test_passes(item, spoiled, reason):
    found = answer(item, **spoiled)
    assert (found.verdict, found.to_do) == (Verdict.PASS, "")
    assert reason in found.reason


@pytest.mark.parametrize(("item", "spoiled", "reason", "to_do"), FAILS)
def test_fails(item, spoiled, reason, to_do):
    found = answer(item, **spoiled)
    assert found.verdict is Verdict.FAIL
    assert reason in found.reason
    assert to_do in found.to_do


@pytest.mark.parametrize(("item", "spoiled", "reason", "to_do"), UNTOLD)
def test_cannot_tell(item, spoiled, reason, to_do):
    found = answer(item, **spoiled)
    assert found.verdict is Verdict.CANNOT_TELL
    assert reason in found.reason
    assert to_do in found.to_do


def test_a_surge_in_percent_is_rounded_up_as_kubernetes_does():
    surging = deployment()
    surging["spec"]["strategy"]["rollingUpdate"]["maxSurge"] = "25%"
    assert "15 instances" in answer("connections", **of(surging, autoscaler(10))).reason


ODD = {"replicas": "many", "minAvailable": "x%", "maxReplicas": -1, "minReplicas": "few", "strategy": []}
GARBAGE: list[Any] = [
    ODD,
    None,
    0,
    "",
    [],
    {},
    [None],
    {"spec": 1},
    {"spec": {"template": []}},
    {"metadata": None, "spec": None},
]


@pytest.mark.parametrize("spec", GARBAGE)
@pytest.mark.parametrize("of_kind", [deployment, budget, autoscaler, ingress])
def test_documents_of_any_shape_are_judged_without_an_error(of_kind, spec):
    others = [one for one in (deployment(), budget(), autoscaler(), ingress()) if one["kind"] != of_kind()["kind"]]
    spoiled = replace(WELL, cluster=cluster(*others, {**of_kind(), "spec": spec}))
    assert len(answers(spoiled)) == len(CHECKLIST)


def test_every_item_can_pass_but_the_one_that_nobody_can_see():
    verdicts = {item.name: item.answer.verdict for item in answers(WELL)}
    assert {name for name, verdict in verdicts.items() if verdict is not Verdict.PASS} == {"recovery"}


def test_the_items_are_the_guides_in_its_order():
    guide = shared("design/ha-guidance.md").read_text()
    [_, checklist] = guide.split("## Checklist\n")
    asked = [line.removeprefix("- [ ] ") for line in checklist.splitlines() if line.startswith("- [ ] ")]
    assert [item for _, item, _ in CHECKLIST[:-1]] == asked
