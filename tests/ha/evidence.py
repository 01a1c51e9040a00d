"""Evidence of an installation that is as the guide wants it, for tests to spoil."""

from dataclasses import replace
from typing import Any

from titan.ha.evidence import Cluster, Evidence, Watcher
from titan.ha.items import CHECKLIST
from titan.ha.verdict import Answer
from titan.ha.watching import ALERTS
from titan.redis.standing import Watched
from titan.store.postgres.standing import Standby, Standing

LABELS = {"app": "titan-aas"}
TERM = {"labelSelector": {"matchLabels": LABELS}, "topologyKey": "kubernetes.io/hostname"}
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def deployment(**pod: Any) -> dict[str, Any]:
    """Return a Deployment of three pods; `pod` replaces parts of the pods' spec."""
    spec = {
        "affinity": {"podAntiAffinity": {PREFERRED: [{"weight": 100, "podAffinityTerm": TERM}]}},
        "containers": [{"name": "titan-aas", "readinessProbe": {"httpGet": {"path": "/health/ready"}}}],
        **pod,
    }
    return {
        "kind": "Deployment",
        "metadata": {"name": "titan-aas"},
        "spec": {
            "replicas": 3,
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": LABELS}, "spec": spec},
        },
    }


def budget(selector: object = None, **spec: Any) -> dict[str, Any]:
    """Return the disruption budget."""
    return {
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "titan-aas-pdb"},
        "spec": {"selector": selector or {"matchLabels": LABELS}, **(spec or {"minAvailable": 2})},
        "status": {"disruptionsAllowed": 1},
    }


def autoscaler(most: int = 10, least: int | None = 3) -> dict[str, Any]:
    """Return the autoscaler."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "titan-aas"}
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "titan-aas"},
        "spec": {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most},
    }


def ingress() -> dict[str, Any]:
    """Return the Ingress with the guide's annotation."""
    annotations = {"nginx.ingress.kubernetes.io/healthcheck-path": "/health/live"}
    return {"kind": "Ingress", "metadata": {"name": "titan-aas", "annotations": annotations}, "spec": {}}


def pod(number: int, node: str) -> dict[str, Any]:
    """Return a running pod."""
    return {
        "kind": "Pod",
        "metadata": {"name": f"titan-aas-{number}", "labels": LABELS},
        "spec": {"nodeName": node},
        "status": {"phase": "Running"},
    }


PODS = tuple(pod(number, f"node-{number}") for number in range(3))


def cluster(*documents: dict[str, Any]) -> Cluster:
    """Return a namespace of these documents."""
    return Cluster("twins", documents)


def rule(name: str, **parts: Any) -> dict[str, Any]:
    """Return an alerting rule as Prometheus shows it."""
    annotations = {"summary": "it happened", "runbook_url": f"https://example.com/{name}"}
    return {"name": name, "type": "alerting", "health": "ok", "annotations": annotations, **parts}


def target(number: int, health: str = "up") -> dict[str, Any]:
    """Return a scraped instance as Prometheus shows it."""
    return {"labels": {"job": "titan-aas", "instance": f"titan-{number}:8080"}, "health": health}


def watcher(
    rules: list[dict[str, Any]] | None = None, targets: list[dict[str, Any]] | None = None, group: str = "titan-ha"
) -> Watcher:
    """Return a Prometheus with all alerts and three targets."""
    loaded = [rule(name) for name in ALERTS] if rules is None else rules
    return Watcher(
        ({"name": group, "rules": loaded},), tuple([target(1), target(2), target(3)] if targets is None else targets)
    )


STANDBY = Standby("pg-2", "streaming", "async", 0, 0.1)
DATABASE = Standing(
    max_connections=300,
    reserved_connections=3,
    standbys=(STANDBY,),
    instances=("titan-1", "titan-2", "titan-3"),
    is_pooled=False,
)
REDIS = Watched(answered=3, asked=3, sentinels=3, quorum=2, replicas=2, trouble=None)
WELL = Evidence(
    database=DATABASE,
    redis=REDIS,
    instances=(),
    balancer=None,
    cluster=cluster(deployment(), budget(), autoscaler(), ingress(), *PODS),
    watcher=watcher(),
    pool_size=20,
    max_instances=None,
)


def answer(item: str, **spoiled: Any) -> Answer:
    """Answer one item of the checklist, with parts of the evidence replaced."""
    [found] = [judge for name, _, judge in CHECKLIST if name == item]
    return found(replace(WELL, **spoiled))
