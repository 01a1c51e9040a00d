"""deploy/kubernetes as data."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

from tests.support.server import ROOT

Object = Mapping[str, Any]

KUBERNETES = ROOT / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"


def documents(text: str) -> list[Object]:
    """Return the YAML documents of a text; empty ones are none."""
    return [one for one in yaml.safe_load_all(text) if one]


@cache
def rendered() -> tuple[Object, ...]:
    """Return the base's objects: what kustomize makes of a file that does no more than list resources."""
    (kustomization,) = documents((BASE / "kustomization.yaml").read_text())
    assert set(kustomization) == {"apiVersion", "kind", "resources"}, "only kustomize itself can render this"
    return tuple(one for name in kustomization["resources"] for one in documents((BASE / name).read_text()))


def the(kind: str, name: str = "titan-aas") -> Object:
    """Return one object of the base."""
    (found,) = [one for one in rendered() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pod(kind: str = "Deployment", name: str = "titan-aas") -> Object:
    """Return the pod template of a workload."""
    return cast(Object, the(kind, name)["spec"]["template"])


def container(kind: str = "Deployment", name: str = "titan-aas") -> Object:
    """Return the one container of a workload."""
    (found,) = pod(kind, name)["spec"]["containers"]
    return cast(Object, found)


def environment(of: Object) -> dict[str, str]:
    """Return the variables of a container."""
    return {one["name"]: one["value"] for one in of["env"]}


def mib(quantity: str) -> float:
    """Return an amount of memory as Kubernetes writes it (512Mi, 1Gi) in MiB."""
    number, unit = quantity[:-2], quantity[-2:]
    return float(number) * {"Mi": 1, "Gi": 1024}[unit]


def seconds_of_sleep() -> float:
    """Return how long the container's preStop takes."""
    word, number = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert word == "sleep"
    return float(number)


def secret_files(folder: Path, values: Mapping[str, str], *, group: int = -1) -> Path:
    """Write a secret as a kubelet mounts it: a file per key, root's, readable by the pod's group alone."""
    folder.mkdir()
    for name, value in values.items():
        path = folder / name
        path.write_text(value)
        path.chmod(0o440)
        os.chown(path, -1, group)
    return folder
