"""The pods need nothing that the Pod Security Standard "restricted" forbids, and are reached by whom we say."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.manifests import Object, pod, rendered, the

WORKLOADS = [("Deployment", "titan-aas"), ("Job", "titan-aas-migrate")]
KNOWN = {
    "affinity",
    "automountServiceAccountToken",
    "containers",
    "enableServiceLinks",
    "restartPolicy",
    "securityContext",
    "serviceAccountName",
    "terminationGracePeriodSeconds",
    "topologySpreadConstraints",
    "volumes",
}
"""Parts of a pod that are looked at here, or harmless: whatever else turns up is to be thought about first."""
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def violations(spec: Object) -> list[str]:
    """Return what "restricted" forbids of a pod, and what we ask beyond it."""
    found = [f"{name} is not looked at here" for name in spec.keys() - KNOWN]
    found += [f"volume {one['name']}" for one in spec.get("volumes", []) if set(one) - {"name"} - VOLUMES]
    if spec.get("automountServiceAccountToken") is not False:
        found.append("token")
    if spec.get("enableServiceLinks") is not False:
        found.append("service links")
    whole = spec.get("securityContext", {})
    for one in spec["containers"]:
        own = {**whole, **one.get("securityContext", {})}
        checks = {
            "root": own.get("runAsNonRoot") is True and own.get("runAsUser", 0) >= 10000,
            "group root": own.get("runAsGroup", 0) >= 10000,
            "seccomp": own.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "escalation": own.get("allowPrivilegeEscalation") is False,
            "privileged": own.get("privileged") is not True,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "writable root": own.get("readOnlyRootFilesystem") is True,
            "port of the node": not any("hostPort" in port for port in one.get("ports", [])),
            "requests and limits": all(
                {"cpu", "memory"} == set(one["resources"][name]) for name in ("requests", "limits")
            ),
        }
        found += [name for name, is_well in checks.items() if not is_well]
    return found


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_a_pod_is_restricted(kind, name):
    assert violations(pod(kind, name)["spec"]) == []


def test_no_other_pods_are_made():
    assert [(one["kind"], one["metadata"]["name"]) for one in rendered() if "template" in one.get("spec", {})] == [
        ("Job", "titan-aas-migrate"),
        ("Deployment", "titan-aas"),
    ]


# One way for each rule; the key is what is to be found.
SPOILED: Mapping[str, Callable[[Any], object]] = {
    "hostNetwork is not looked at here": lambda spec: spec.update(hostNetwork=True),
    "volume urls": lambda spec: spec["volumes"][0].update(hostPath={"path": "/"}),
    "token": lambda spec: spec.pop("automountServiceAccountToken"),
    "service links": lambda spec: spec.pop("enableServiceLinks"),
    "root": lambda spec: spec["securityContext"].pop("runAsNonRoot"),
    "group root": lambda spec: spec["securityContext"].update(runAsGroup=0),
    "seccomp": lambda spec: spec["containers"][0]["securityContext"].update(seccompProfile={"type": "Unconfined"}),
    "escalation": lambda spec: spec["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "privileged": lambda spec: spec["containers"][0]["securityContext"].update(privileged=True),
    "capabilities": lambda spec: spec["containers"][0]["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
    "writable root": lambda spec: spec["containers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
    "port of the node": lambda spec: spec["containers"][0]["ports"][0].update(hostPort=80),
    "requests and limits": lambda spec: spec["containers"][0]["resources"]["limits"].pop("memory"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_pod_that_is_not_restricted_is_found(what):
    spec = copy.deepcopy(dict(pod()["spec"]))
    SPOILED[what](spec)
    assert violations(spec) == [what]


def test_the_account_has_no_token_and_no_rights():
    assert the("ServiceAccount")["automountServiceAccountToken"] is False
    assert not {one["kind"] for one in rendered()} & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}


OURS = {"kubernetes.io/metadata.name": "twins"}
CLIENT = {"titan-aas-client": "true"}
PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}
MONITORING = {"kubernetes.io/metadata.name": "monitoring"}


def lets_in(labels: Mapping[str, str], namespace: Mapping[str, str]) -> bool:
    """Tell whether the policy lets a pod with these labels in; it stands in the namespace OURS."""

    def selects(selector: Object, of: Mapping[str, str]) -> bool:
        assert set(selector) == {"matchLabels"}
        return bool(selector["matchLabels"].items() <= of.items())

    peers = [peer for rule in the("NetworkPolicy")["spec"]["ingress"] for peer in rule["from"]]
    return any(
        selects(peer["podSelector"], labels)
        and (selects(peer["namespaceSelector"], namespace) if "namespaceSelector" in peer else namespace == OURS)
        for peer in peers
    )


@pytest.mark.parametrize(
    ("labels", "namespace", "is_in"),
    [
        (CLIENT, OURS, True),
        ({}, OURS, False),
        ({"titan-aas-client": "false"}, OURS, False),
        ({"app": "titan-aas"}, OURS, False),
        (CLIENT, {"kubernetes.io/metadata.name": "other"}, False),
        ({}, CLIENT, False),
        (CLIENT, CLIENT, True),
        ({"app.kubernetes.io/name": "ingress-nginx"}, {"kubernetes.io/metadata.name": "ingress-nginx"}, False),
        (PROMETHEUS, MONITORING, True),
        (PROMETHEUS, OURS, False),
        ({}, MONITORING, False),
    ],
)
def test_only_what_is_labelled_as_a_client_comes_in_and_a_prometheus(labels, namespace, is_in):
    assert lets_in(labels, namespace) is is_in


def test_nobody_comes_into_the_migrations_pod():
    policy = the("NetworkPolicy", "titan-aas-migrate")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy


@pytest.mark.parametrize(
    ("name", "ports"),
    [("titan-aas", {53, 5432, 6432, 6379, 26379}), ("titan-aas-migrate", {53, 5432, 6432})],
)
def test_the_pods_reach_names_databases_and_caches_and_nothing_else(name, ports):
    policy = the("NetworkPolicy", name)["spec"]
    assert "Egress" in policy["policyTypes"]
    assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == ports
