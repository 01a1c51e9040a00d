"""The checklist: its items in the guide's order and words, and who answers each."""

from collections.abc import Callable

from titan.ha import cluster, stores, watching
from titan.ha.evidence import Evidence
from titan.ha.verdict import Answer, Item

CHECKLIST: tuple[tuple[str, str, Callable[[Evidence], Answer]], ...] = (
    ("instances", "Minimum 3 Titan-AAS instances", stores.instances),
    ("replication", "PostgreSQL replication configured", stores.replication),
    ("redis", "Redis Sentinel or Cluster deployed", stores.redis),
    ("balancer", "Load balancer health checks configured", cluster.balancer),
    ("disruption-budget", "Pod Disruption Budget in place", cluster.disruption_budget),
    ("anti-affinity", "Anti-affinity rules applied", cluster.anti_affinity),
    ("alerts", "Alerting rules deployed", watching.alerts),
    ("runbook", "Runbook documented for failure scenarios", watching.runbook),
    ("recovery", "DR procedure tested", watching.recovery),
    ("connections", "Room for every instance's database connections", stores.connections),
)
"""The last one is ours: an autoscaler that the database cannot feed is found out on the busiest day."""


def answers(evidence: Evidence) -> list[Item]:
    """Answer every item."""
    return [Item(name, asked, answer(evidence)) for name, asked, answer in CHECKLIST]
