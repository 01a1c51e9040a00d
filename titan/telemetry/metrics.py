"""Every metric of the server: declared in one table, kept in a registry of its own that is passed around.

Label values are bounded: operations come from the operation table, methods from a fixed set, statuses are numbers,
actors and dependencies are those of the tree, tasks those of the settings. Nothing a client sends becomes a label, but
for the most frequent semantic ids, which are few and short.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from platform import python_version

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from titan.telemetry import event_metrics, task_metrics
from titan.telemetry.described import Collected, Described, Kind
from titan.telemetry.health import CheckResult
from titan.version import __version__

DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Fine where answers lie, coarse where only the time-outs are."""

POOL_WAIT_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25)
"""Up to the time after which one who waits is refused."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that have a label of their own; any other one, which a client may invent, counts as `other`."""


REQUESTS = Described(
    "http_requests_total",
    Kind.COUNTER,
    "Requests answered, by what was asked for and how.",
    ("method", "operation", "status"),
)
DURATION = Described(
    "http_request_duration_seconds", Kind.HISTOGRAM, "From a request's head to the end of its answer.", ("operation",)
)
IN_PROGRESS = Described("http_requests_in_progress", Kind.GAUGE, "Requests being answered now.")
DEPENDENCY_UP = Described(
    "titan_up_dependency",
    Kind.GAUGE,
    "1 while what this instance uses is up or degraded, 0 while it is down or away.",
    ("name",),
)
ACTOR_UP = Described(
    "titan_actor_up",
    Kind.GAUGE,
    "1 while the actor runs, 0 while it does not; absent while it waits for a term of leadership.",
    ("actor",),
)
ACTOR_RESTARTS = Described(
    "titan_actor_restarts_total", Kind.COUNTER, "Times that the actor was started again.", ("actor",)
)
BUILD = Described("titan_build_info", Kind.GAUGE, "Always 1; its labels say what runs.", ("version", "python"))
TLS_EXPIRY = Described(
    "titan_tls_certificate_expiry_timestamp_seconds",
    Kind.GAUGE,
    "When the certificate in use ends; absent without TLS.",
)
LOOP_LAG = Described(
    "titan_loop_lag_seconds",
    Kind.GAUGE,
    "Worst lateness of the event loop's heartbeat in the last 15 s; high: overloaded.",
)
LOG_DROPPED = Described(
    "titan_log_dropped_total", Kind.COUNTER, "Log lines lost because nobody took them or they could not be written."
)
POOL_AVAILABLE = Described(
    "pg_pool_available_connections",
    Kind.GAUGE,
    "Connections that further requests could have at once: the pool's limit less those in use; PostgreSQL only.",
)
POOL_SIZE = Described("pg_pool_size", Kind.GAUGE, "Open connections of the pool; PostgreSQL only.")
POOL_WAIT = Described(
    "pg_pool_wait_seconds", Kind.HISTOGRAM, "How long operations waited for a connection; PostgreSQL only."
)

RATE_LIMIT = Described(
    "titan_rate_limit_requests_total",
    Kind.COUNTER,
    "Requests by who counted them and whether they were granted (else 429); absent without a rate limit.",
    ("counted_by", "outcome"),
)
REDIS_CLIENTS = Described(
    "redis_connected_clients",
    Kind.GAUGE,
    "Clients that Redis has, by its own count, every 15 s; of a cluster's masters the most; absent while unknown.",
)

SYNC_DOCUMENTS = Described(
    "titan_sync_documents_total",
    Kind.COUNTER,
    "Documents that a pull from another server came to, by what became of them; on the instance that pulls.",
    ("source", "kind", "outcome"),
)

CACHE_REQUESTS = Described(
    "titan_cache_requests_total",
    Kind.COUNTER,
    "Reads by the tier that was asked and what came of it: hit, miss, behind what the session has seen, or bypass.",
    ("tier", "outcome"),
)
CACHE_BYTES = Described("titan_cache_memory_bytes", Kind.GAUGE, "Memory taken by cached documents; PostgreSQL only.")
FEED_LAG = Described(
    "titan_change_feed_lag_seconds",
    Kind.GAUGE,
    "How old this instance's knowledge of changes is at most; above 1 caches are passed by. PostgreSQL only.",
)

REPLICA_LAG = Described(
    "pg_replica_lag_seconds",
    Kind.GAUGE,
    "How long the read replica has lacked what the primary had; absent while that is not known, or there is none.",
)
LEADER_STATUS = Described(
    "titan_leader_status", Kind.GAUGE, "1 on the instance that leads in this role, 0 on every other.", ("role",)
)
LEADER_EPOCH = Described(
    "titan_leader_epoch",
    Kind.GAUGE,
    "Number of the newest term that this instance led in this role; 0 before the first.",
    ("role",),
)

POSTGRES_ONLY = (POOL_AVAILABLE, POOL_SIZE, POOL_WAIT, CACHE_REQUESTS, CACHE_BYTES, FEED_LAG)

ALL: tuple[Described, ...] = (
    REQUESTS,
    DURATION,
    IN_PROGRESS,
    DEPENDENCY_UP,
    ACTOR_UP,
    ACTOR_RESTARTS,
    BUILD,
    TLS_EXPIRY,
    LOOP_LAG,
    LOG_DROPPED,
    RATE_LIMIT,
    LEADER_STATUS,
    LEADER_EPOCH,
    *POSTGRES_ONLY,
    REPLICA_LAG,
    REDIS_CLIENTS,
    SYNC_DOCUMENTS,
    *task_metrics.ALL,
    *event_metrics.ALL,
)


@dataclass(frozen=True, slots=True)
class ActorState:
    """What the tree says of one actor."""

    path: str
    is_up: bool
    restarts: int


class Metrics:
    """The registry and what is counted on the way of a request. Counting is meant for the event loop's thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter, used by nobody
        self._requests = Counter(REQUESTS.name, REQUESTS.meaning, REQUESTS.labels, registry=self.registry)
        self._duration = Histogram(
            DURATION.name, DURATION.meaning, DURATION.labels, registry=self.registry, buckets=DURATION_BUCKETS_S
        )
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._in_progress = 0
        _gauge(self.registry, IN_PROGRESS, lambda: self._in_progress)
        build = Gauge(BUILD.name, BUILD.meaning, BUILD.labels, registry=self.registry)
        build.labels(__version__, python_version()).set(1)
        ProcessCollector(registry=self.registry)

    def request_started(self) -> None:
        """Count a request as being answered."""
        self._in_progress += 1

    def request_finished(self, method: str, operation: str, status: int, duration_s: float) -> None:
        """Count an answer. `operation` must come from a bounded set; `method` and `status` may be anything."""
        self._in_progress -= 1
        try:
            counter = self._counters[method, operation, status]
            histogram = self._histograms[operation]
        except KeyError:
            counter, histogram = self._bind(method, operation, status)
        counter.inc()
        histogram.observe(duration_s)

    def watch_dependencies(self, checks: Callable[[], Mapping[str, CheckResult]]) -> None:
        """Show the state of every check at each scrape."""

        def collect() -> Iterator[Metric]:
            family = GaugeMetricFamily(DEPENDENCY_UP.name, DEPENDENCY_UP.meaning, labels=DEPENDENCY_UP.labels)
            for name, check in checks().items():
                family.add_metric((name,), float(check.is_there))
            yield family

        self.registry.register(Collected(collect))

    def watch_actors(self, actors: Callable[[], Iterable[ActorState]]) -> None:
        """Show every actor of the tree at each scrape."""

        def collect() -> Iterator[Metric]:
            up = GaugeMetricFamily(ACTOR_UP.name, ACTOR_UP.meaning, labels=ACTOR_UP.labels)
            restarts = CounterMetricFamily(ACTOR_RESTARTS.name, ACTOR_RESTARTS.meaning, labels=ACTOR_RESTARTS.labels)
            for actor in actors():
                up.add_metric((actor.path,), float(actor.is_up))
                restarts.add_metric((actor.path,), actor.restarts)
            yield from (up, restarts)

        self.registry.register(Collected(collect))

    def watch_leadership(self, roles: Callable[[], Mapping[str, tuple[bool, int]]]) -> None:
        """Show of every role whether this instance leads, and the number of its newest term."""

        def collect() -> Iterator[Metric]:
            status = GaugeMetricFamily(LEADER_STATUS.name, LEADER_STATUS.meaning, labels=LEADER_STATUS.labels)
            epoch = GaugeMetricFamily(LEADER_EPOCH.name, LEADER_EPOCH.meaning, labels=LEADER_EPOCH.labels)
            for role, (leads, number) in roles().items():
                status.add_metric((role,), float(leads))
                epoch.add_metric((role,), number)
            yield from (status, epoch)

        self.registry.register(Collected(collect))

    def watch_certificate(self, expiry: Callable[[], float]) -> None:
        """Show when the certificate in use ends (seconds since the epoch)."""
        _gauge(self.registry, TLS_EXPIRY, expiry)

    def watch_loop(self, lag_s: Callable[[], float]) -> None:
        """Show the event loop's lag."""
        _gauge(self.registry, LOOP_LAG, lag_s)

    def watch_log(self, dropped: Callable[[], int]) -> None:
        """Show how many log lines were lost."""

        def collect() -> Iterator[Metric]:
            yield CounterMetricFamily(LOG_DROPPED.name, LOG_DROPPED.meaning, value=dropped())

        self.registry.register(Collected(collect))

    def watch_pool(self, available: Callable[[], float], size: Callable[[], float]) -> Callable[[float], None]:
        """Show the pool of PostgreSQL connections; return what is told of each wait, from any thread."""
        _gauge(self.registry, POOL_AVAILABLE, available)
        _gauge(self.registry, POOL_SIZE, size)
        wait = Histogram(POOL_WAIT.name, POOL_WAIT.meaning, registry=self.registry, buckets=POOL_WAIT_BUCKETS_S)
        return wait.observe

    def watch_rate_limit(self) -> Callable[[str, bool], None]:
        """Show the rate limit's work; return what is told of each request: who counted, and was it granted."""
        counter = Counter(RATE_LIMIT.name, RATE_LIMIT.meaning, RATE_LIMIT.labels, registry=self.registry)
        bound: dict[tuple[str, bool], Counter] = {}

        def tell(counted_by: str, is_granted: bool) -> None:  # noqa: FBT001  (a plain callable of two words)
            one = bound.get((counted_by, is_granted))
            if one is None:
                one = counter.labels(counted_by, "granted" if is_granted else "refused")
                bound[counted_by, is_granted] = one
            one.inc()

        return tell

    def watch_sync(self) -> Callable[[str, str, str], None]:
        """Return what is told of each document of a pull: source, kind, outcome; each from a bounded set."""
        counter = Counter(SYNC_DOCUMENTS.name, SYNC_DOCUMENTS.meaning, SYNC_DOCUMENTS.labels, registry=self.registry)
        return lambda source, kind, outcome: counter.labels(source, kind, outcome).inc()

    def watch_redis(self, clients: Callable[[], float | None]) -> None:
        """Show how many clients Redis has; nothing while that is unknown."""
        self.registry.register(_Known(REDIS_CLIENTS, clients))

    def watch_replica(self, behind_s: Callable[[], float | None]) -> None:
        """Show the lag of the read replica; nothing while that is unknown."""
        self.registry.register(_Known(REPLICA_LAG, behind_s))

    def watch_caches(
        self,
        requests: Callable[[], Mapping[tuple[str, str], int]],
        memory_bytes: Callable[[], float],
        feed_lag_s: Callable[[], float],
    ) -> None:
        """Show what the caches did, by tier and outcome, and how fresh the change feed is."""

        def collect() -> Iterator[Metric]:
            family = CounterMetricFamily(CACHE_REQUESTS.name, CACHE_REQUESTS.meaning, labels=CACHE_REQUESTS.labels)
            for (tier, outcome), count in requests().items():
                family.add_metric((tier, outcome), count)
            yield family

        self.registry.register(Collected(collect))
        _gauge(self.registry, CACHE_BYTES, memory_bytes)
        _gauge(self.registry, FEED_LAG, feed_lag_s)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Give text and media type as the scraper's `Accept` header wants them. Takes some milliseconds."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type

    def _bind(self, method: str, operation: str, status: int) -> tuple[Counter, Histogram]:
        label = method if method in METHODS else "other"
        counter = self._requests.labels(label, operation, str(status))
        histogram = self._histograms.setdefault(operation, self._duration.labels(operation))
        if label == method:  # an invented method would let a client fill the memory
            self._counters[method, operation, status] = counter
        return counter, histogram


class _Known(Collector):
    """A figure without labels that is shown while it is known."""

    def __init__(self, described: Described, value: Callable[[], float | None]) -> None:
        self._described = described
        self._value = value

    def collect(self) -> Iterator[Metric]:
        if (value := self._value()) is not None:
            yield GaugeMetricFamily(self._described.name, self._described.meaning, value=value)


def _gauge(registry: CollectorRegistry, described: Described, value: Callable[[], float]) -> None:
    Gauge(described.name, described.meaning, registry=registry).set_function(value)
