"""What instances, balancer and Prometheus answer over HTTP; how they are asked is the caller's."""

import json
from collections.abc import Callable

from titan.ha.cluster import READY_PATH
from titan.ha.evidence import Asked, Document, Unknown, Watcher
from titan.ha.reading import rows, text, value

Fetch = Callable[[str, str], "tuple[int, bytes] | Unknown"]
"""GET of a path below a base URL: status and body; blocks for a bounded time. It shows nobody our token."""

RULES = "/api/v1/rules?type=alert"
TARGETS = "/api/v1/targets?state=active"
STATES = ("ready", "degraded", "unready")


def health(fetch: Fetch, url: str) -> Asked | Unknown:
    """Ask for readiness; an answer of another sort than ours is told as what it is."""
    answer = fetch(url, READY_PATH)
    if isinstance(answer, Unknown):
        return answer
    status, body = answer
    said = text(_json(body), "status")
    return Asked(url, said if said in STATES and (status == 200) != (said == "unready") else f"answered {status}")


def prometheus(fetch: Fetch, url: str | None) -> Watcher | Unknown:
    """Ask for the rules that are loaded and the targets that are scraped."""
    if url is None:
        return Unknown("no Prometheus was named")
    rules = _data(fetch, url, RULES)
    targets = _data(fetch, url, TARGETS)
    if isinstance(rules, Unknown):
        return rules
    if isinstance(targets, Unknown):
        return targets
    return Watcher(tuple(rows(rules, "groups")), tuple(rows(targets, "activeTargets")))


def _data(fetch: Fetch, url: str, path: str) -> Document | Unknown:
    answer = fetch(url, path)
    if isinstance(answer, Unknown):
        return answer
    status, body = answer
    document = _json(body)
    data = value(document, "data")
    if status != 200 or text(document, "status") != "success" or not isinstance(data, dict):
        return Unknown(f"{url}{path} answered {status}, not like a Prometheus")
    return data


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
