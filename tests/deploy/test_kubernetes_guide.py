"""Each value of the operator's guide stands in the manifests: by a table of our own, and by the guide's own YAML."""

import copy
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.ha.evidence import answer
from tests.support.manifests import KUBERNETES, Object, documents, rendered, the
from tests.support.shared import shared
from titan.ha.evidence import Cluster
from titan.ha.verdict import Verdict

POD = "spec.template.spec"

VALUES: list[tuple[str, str, str, object]] = [
    ("Deployment", "titan-aas", "spec.strategy.type", "RollingUpdate"),
    ("Deployment", "titan-aas", "spec.strategy.rollingUpdate.maxSurge", 1),
    ("Deployment", "titan-aas", "spec.strategy.rollingUpdate.maxUnavailable", 0),
    ("Deployment", "titan-aas", "spec.selector.matchLabels.app", "titan-aas"),
    ("Deployment", "titan-aas", "spec.template.metadata.labels.app", "titan-aas"),
    ("Deployment", "titan-aas", f"{POD}.terminationGracePeriodSeconds", 30),
    ("Deployment", "titan-aas", f"{POD}.containers.0.name", "titan-aas"),
    ("Deployment", "titan-aas", f"{POD}.containers.0.lifecycle.preStop.exec.command", ["sleep", "5"]),
    ("Deployment", "titan-aas", f"{POD}.containers.0.livenessProbe.httpGet.path", "/health/live"),
    ("Deployment", "titan-aas", f"{POD}.containers.0.livenessProbe.periodSeconds", 5),
    ("Deployment", "titan-aas", f"{POD}.containers.0.startupProbe.httpGet.path", "/health/live"),
    ("Deployment", "titan-aas", f"{POD}.containers.0.readinessProbe.httpGet.path", "/health/ready"),
    (
        "Deployment",
        "titan-aas",
        f"{POD}.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution",
        [
            {
                "weight": 100,
                "podAffinityTerm": {
                    "labelSelector": {"matchLabels": {"app": "titan-aas"}},
                    "topologyKey": "kubernetes.io/hostname",
                },
            }
        ],
    ),
    (
        "Deployment",
        "titan-aas",
        f"{POD}.topologySpreadConstraints",
        [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "titan-aas"}},
            }
        ],
    ),
    ("HorizontalPodAutoscaler", "titan-aas", "spec.minReplicas", 3),
    ("HorizontalPodAutoscaler", "titan-aas", "spec.maxReplicas", 10),
    ("HorizontalPodAutoscaler", "titan-aas", "spec.metrics.0.resource.name", "cpu"),
    ("HorizontalPodAutoscaler", "titan-aas", "spec.metrics.0.resource.target.averageUtilization", 70),
    ("HorizontalPodAutoscaler", "titan-aas", "spec.metrics.1.resource.name", "memory"),
    ("HorizontalPodAutoscaler", "titan-aas", "spec.metrics.1.resource.target.averageUtilization", 80),
    ("PodDisruptionBudget", "titan-aas-pdb", "spec.minAvailable", 2),
    ("PodDisruptionBudget", "titan-aas-pdb", "spec.selector.matchLabels", {"app": "titan-aas"}),
    ("Job", "titan-aas-migrate", f"{POD}.containers.0.args", ["db", "upgrade"]),
]

ANNOTATIONS = {"healthcheck-path": "/health/live", "healthcheck-interval-seconds": "5"}


COMMANDS = [
    "titan db upgrade",
    "kubectl set image deployment/titan-aas titan-aas=ghcr.io/hadijannat/titan-aas:v1.2.0",
    "kubectl rollout status deployment/titan-aas",
    "titan db downgrade -1",
]


@pytest.mark.parametrize(("kind", "name", "path", "value"), VALUES, ids=lambda item: str(item)[:60])
def test_the_value_is_the_guides(kind, name, path, value):
    found: Any = the(kind, name)
    for part in path.split("."):
        found = found[int(part)] if part.isdigit() else found[part]
    assert found == value


@pytest.mark.parametrize(("name", "value"), ANNOTATIONS.items())
def test_the_ingress_carries_the_guides_annotations(name, value):
    assert the("Ingress")["metadata"]["annotations"][f"nginx.ingress.kubernetes.io/{name}"] == value


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_has_the_guides_command(command):
    assert command in (KUBERNETES / "README.md").read_text()


def test_the_checklist_is_content_with_a_namespace_of_these_objects():
    """With what only a running cluster adds: a number of replicas, pods on nodes."""
    deployment = copy.deepcopy(dict(the("Deployment")))
    deployment["spec"]["replicas"] = the("HorizontalPodAutoscaler")["spec"]["minReplicas"]
    pods = [{"kind": "Pod", "status": {"phase": "Running"}, "spec": {"nodeName": f"node-{n}"}} for n in range(3)]
    others = [one for one in rendered() if one["kind"] != "Deployment"]
    found = Cluster("twins", (deployment, *others, *pods))
    for item in ("disruption-budget", "anti-affinity", "balancer", "connections"):
        assert answer(item, cluster=found).verdict is Verdict.PASS, item


def lacking(ours: object, theirs: object, where: str = "") -> list[str]:
    """Return each leaf of theirs that ours does not have; an entry of a list may stand anywhere in ours."""
    if isinstance(theirs, Mapping):
        if not isinstance(ours, Mapping):
            return [where]
        return [
            found
            for key, value in theirs.items()
            for found in (lacking(ours[key], value, f"{where}.{key}") if key in ours else [f"{where}.{key}"])
        ]
    if isinstance(theirs, list):
        if not isinstance(ours, list):
            return [where]
        tries = [[lacking(one, entry, f"{where}[]") for one in ours] for entry in theirs]
        return [fault for one in tries for fault in min(one, key=len, default=[f"{where}[]"])]
    return [] if ours == theirs else [f"{where}: {theirs!r} and not {ours!r}"]


def guides_objects() -> list[Object]:
    """Return what the guide shows of Kubernetes; what it leaves out as said before is filled in."""
    text = shared("design/ha-guidance.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    found = [one for block in blocks for one in documents(block) if "groups" not in one]
    for one in found:
        assert "kind" in one or "topologySpreadConstraints" in one["spec"]["template"]["spec"]
    return found


def test_every_leaf_of_the_guides_yaml_is_in_the_manifests():
    found = guides_objects()
    kinds = ["Ingress", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Deployment", "", "Deployment"]
    assert [one.get("kind", "") for one in found] == kinds
    for theirs in found:
        (ours,) = [one for one in rendered() if one["kind"] == theirs.get("kind", "Deployment")]
        assert lacking(ours, theirs) == [], theirs


@pytest.mark.parametrize(
    ("theirs", "fault"),
    [
        ({"spec": {"minReplicas": 4}}, ".spec.minReplicas: 4 and not 3"),
        ({"spec": {"size": 4}}, ".spec.size"),
        ({"spec": {"metrics": [{"resource": {"name": "disk"}}]}}, ".spec.metrics[].resource.name: 'disk'"),
    ],
)
def test_a_leaf_that_is_not_there_is_found(theirs, fault):
    (found,) = lacking(the("HorizontalPodAutoscaler"), theirs)
    assert found.startswith(fault)
