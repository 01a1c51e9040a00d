"""What a metric is to operators, and how one that is made anew at each scrape is registered."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client.core import Metric
from prometheus_client.registry import Collector


class Kind(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as operators see it."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()


class Collected(Collector):
    """Metrics made anew at each scrape."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        """Give them."""
        return self._collect()
