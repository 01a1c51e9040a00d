"""What stands in a Kubernetes namespace, by the operator's own kubectl and rights; only read."""

import json
import os
import shutil
import subprocess
import sys

from titan.ha.cluster import NAME
from titan.ha.evidence import Cluster, Unknown
from titan.ha.reading import rows, text

KINDS = "deployments.apps,horizontalpodautoscalers.autoscaling,poddisruptionbudgets.policy,ingresses.networking.k8s.io"
PODS = ("pods", "--selector", f"app={NAME}")


def namespace_seen(namespace: str | None, *, within_s: float) -> Cluster | Unknown:
    """Read the documents of a namespace, blocking."""
    program = shutil.which("kubectl")
    if program is None:
        return Unknown("there is no kubectl here")
    where = ("--namespace", namespace) if namespace else ()
    documents = []
    for what in ((KINDS,), PODS):
        read = _get(program, *what, *where, within_s=within_s / 2)
        if isinstance(read, Unknown):
            return read
        documents += read
    named = next((text(document, "metadata", "namespace") for document in documents), None)
    return Cluster(namespace or named or "of kubectl's context", tuple(documents))


def _get(program: str, *words: str, within_s: float) -> list[dict[str, object]] | Unknown:
    command = [program, "get", *words, "--output", "json", f"--request-timeout={within_s:g}s"]
    try:
        done = subprocess.run(  # noqa: S603  (the operator's kubectl; no shell between)
            command,
            check=False,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=within_s,
        )
    except subprocess.TimeoutExpired:
        return Unknown(f"kubectl did not answer within {within_s:g} s")
    except OSError as error:
        return Unknown(f"kubectl cannot be run: {error.strerror}")
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no word why"]
        return Unknown(f"kubectl: {said[-1]}")
    try:
        items = rows(json.loads(done.stdout), "items")
    except (ValueError, RecursionError):
        return Unknown("kubectl printed no JSON")
    return [item for item in items if isinstance(item, dict)]


def _environment() -> dict[str, str]:
    """Return ours without what the single binary sets for its own Python alone.

    kubectl asks helpers for credentials, and those of some providers are Python too, another one.
    """
    is_sealed = os.environ.get("LD_LIBRARY_PATH") == f"{sys.prefix}/lib"
    return {
        name: value
        for name, value in os.environ.items()
        if not (is_sealed and (name == "LD_LIBRARY_PATH" or name.startswith("PYTHON")))
    }
