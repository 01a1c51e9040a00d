"""Metrics of the clients that follow events."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from titan.telemetry.described import Collected, Described, Kind

CLIENTS = Described("titan_events_clients", Kind.GAUGE, "Clients that follow events of this instance now.")
SENT = Described("titan_events_sent_total", Kind.COUNTER, "Events sent, each counted for every client.")
DROPPED = Described(
    "titan_events_dropped_clients_total",
    Kind.COUNTER,
    "Clients whose stream was ended because they read too slowly; each has a cursor to come back with.",
)

ALL = (CLIENTS, SENT, DROPPED)


def watch_events(
    registry: CollectorRegistry, clients: Callable[[], int], sent: Callable[[], int], dropped: Callable[[], int]
) -> None:
    """Show how many follow events, what they were sent, and who was too slow for it."""

    def collect() -> Iterator[Metric]:
        yield GaugeMetricFamily(CLIENTS.name, CLIENTS.meaning, value=clients())
        yield CounterMetricFamily(SENT.name, SENT.meaning, value=sent())
        yield CounterMetricFamily(DROPPED.name, DROPPED.meaning, value=dropped())

    registry.register(Collected(collect))
