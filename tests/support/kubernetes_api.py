"""A Kubernetes API as far as kubectl reads it: discovery and lists, over HTTP, for the real kubectl.

It is no cluster: nothing schedules, nothing has a status but what a test gives it.
"""

import contextlib
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

KINDS = {
    ("", "v1"): {
        "namespaces": "Namespace",
        "pods": "Pod",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    ("apps", "v1"): {"deployments": "Deployment"},
    ("autoscaling", "v2"): {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    ("batch", "v1"): {"jobs": "Job"},
    ("policy", "v1"): {"poddisruptionbudgets": "PodDisruptionBudget"},
    ("networking.k8s.io", "v1"): {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"},
}
_LIST = re.compile(r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)/namespaces/(?P<namespace>[^/]+)/(?P<kind>\w+)")

Answer = tuple[int, dict[str, Any]]


def _answer(path: str, query: Mapping[str, Sequence[str]], documents: Sequence[Mapping[str, Any]]) -> Answer:
    if path == "/api":
        return 200, {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [_group(group, version) for group, version in KINDS if group]
        return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    for (group, version), kinds in KINDS.items():
        if path == (f"/apis/{group}/{version}" if group else f"/api/{version}"):
            return 200, _resources(f"{group}/{version}" if group else version, kinds)
    if found := _LIST.fullmatch(path):
        version = "/".join(filter(None, (found["group"], found["version"])))
        kind = KINDS[found["group"] or "", found["version"]][found["kind"]]
        items = [  # as the API does it, each without its kind, which the list has
            {**_bare(one), "metadata": {"namespace": found["namespace"], **one["metadata"]}}
            for one in documents
            if one["kind"] == kind and _fits(one, query.get("labelSelector", [""])[0])
        ]
        return 200, {"kind": f"{kind}List", "apiVersion": version, "metadata": {"resourceVersion": "1"}, "items": items}
    return 404, _failure(404, "NotFound", "there is no such thing")


def _failure(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


def _group(name: str, version: str) -> dict[str, Any]:
    one = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [one], "preferredVersion": one}


def _resources(version: str, kinds: Mapping[str, str]) -> dict[str, Any]:
    resources = [
        {"name": name, "singularName": "", "namespaced": kind != "Namespace", "kind": kind, "verbs": ["get", "list"]}
        for name, kind in kinds.items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _bare(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in ("kind", "apiVersion")}


def _fits(document: Mapping[str, Any], selector: str) -> bool:
    name, _, value = selector.partition("=")
    return not selector or document["metadata"].get("labels", {}).get(name) == value


@contextlib.contextmanager
def kubernetes_api(folder: Path, documents: Sequence[Mapping[str, Any]], *, refuses: str = "") -> Iterator[Path]:
    """Serve these documents, in whichever namespace is asked for; yields a kubeconfig.

    `refuses` is a kind that this user may not list.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, answer = _answer(parts.path, parse_qs(parts.query), documents)
            if refuses and parts.path.endswith(f"/{refuses}"):
                message = f'{refuses} is forbidden: User "u" cannot list resource "{refuses}"'
                status, answer = 403, _failure(403, "Forbidden", message)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield kubeconfig(folder, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


def kubeconfig(folder: Path, url: str) -> Path:
    """Write a kubeconfig that names this server and the namespace `twins`."""
    made = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "u", "namespace": "twins"}}],
        "users": [{"name": "u", "user": {}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(made))
    return path
