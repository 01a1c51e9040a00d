"""What /metrics says, and that nothing a client sends makes it grow."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from titan.http.observe import RequestRecord
from titan.telemetry import event_metrics, metrics, task_metrics
from titan.telemetry.health import CheckResult, Status
from titan.telemetry.metrics import ActorState, Metrics
from titan.telemetry.requests import MAX_PATH_CHARS, RequestTelemetry
from titan.version import __version__


def complete() -> Metrics:
    made = Metrics()
    made.watch_dependencies(lambda: {"database": CheckResult(Status.DEGRADED, 0.0, "")})
    made.watch_actors(
        lambda: [ActorState("titan/http", is_up=True, restarts=2), ActorState("titan/x", is_up=False, restarts=0)]
    )
    made.watch_certificate(lambda: 5.0)
    made.watch_loop(lambda: 0.25)
    made.watch_log(lambda: 7)
    made.watch_pool(available=lambda: 17, size=lambda: 5)(0.002)
    made.watch_rate_limit()("local", True)
    made.watch_redis(lambda: 12.0)
    made.watch_sync()("plant-b", "submodel", "created")
    made.watch_caches(requests=lambda: {("memory", "hit"): 3}, memory_bytes=lambda: 4096, feed_lag_s=lambda: 0.1)
    made.watch_replica(lambda: 0.25)
    event_metrics.watch_events(made.registry, clients=lambda: 2, sent=lambda: 40, dropped=lambda: 1)
    made.watch_leadership(lambda: {"cleanup-worker": (True, 7), "external-sync": (False, 3)})
    task_metrics.watch_tasks(
        made.registry,
        ["blob-cleanup"],
        last_success=lambda: {"blob-cleanup": 1_700_000_000.5},
        figures=lambda: {
            described: [(("x",) * len(described.labels), float(number))]
            for number, described in enumerate(task_metrics.FIGURES)
        },
    )("blob-cleanup", "failed", 0.2)
    return made


def samples(made: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text, _ = made.render("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(made: Metrics, name: str, /, **labels: str) -> float | None:
    return samples(made).get((name, tuple(sorted(labels.items()))))


def test_every_registered_metric_is_described_and_every_described_one_registered():
    made = complete()
    made.request_started()
    made.request_finished("GET", "x", 200, 0.1)
    found = {}
    for family in made.registry.collect():
        if not family.name.startswith("process_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            found[name] = (family.type, family.documentation, labels)
    assert found == {
        described.name: (described.kind.value, described.meaning, set(described.labels)) for described in metrics.ALL
    }


def test_requests_are_counted_by_what_was_asked_and_how_it_ended():
    made = Metrics()
    for status in (200, 200, 404):
        made.request_started()
        made.request_finished("GET", "GetSubmodelById", status, 0.003)
    made.request_started()
    labels = {"method": "GET", "operation": "GetSubmodelById"}
    assert value(made, "http_requests_total", **labels, status="200") == 2
    assert value(made, "http_requests_total", **labels, status="404") == 1
    assert value(made, "http_request_duration_seconds_count", operation="GetSubmodelById") == 3
    assert value(made, "http_request_duration_seconds_bucket", operation="GetSubmodelById", le="0.005") == 3
    assert value(made, "http_request_duration_seconds_bucket", operation="GetSubmodelById", le="0.0025") == 0
    assert value(made, "http_requests_in_progress") == 1


def test_invented_methods_share_one_label():
    made = Metrics()
    for number in range(1000):
        made.request_started()
        made.request_finished(f"BREW{number}", "unknown", 405, 0)
    assert value(made, "http_requests_total", method="other", operation="unknown", status="405") == 1000
    assert len(made._counters) == 0


def test_dependencies_actors_and_the_rest_are_read_at_each_scrape():
    made = complete()
    assert value(made, "titan_up_dependency", name="database") == 1
    assert value(made, "titan_actor_up", actor="titan/http") == 1
    assert value(made, "titan_actor_up", actor="titan/x") == 0
    assert value(made, "titan_actor_restarts_total", actor="titan/http") == 2
    assert value(made, "titan_tls_certificate_expiry_timestamp_seconds") == 5
    assert value(made, "titan_loop_lag_seconds") == 0.25
    assert value(made, "titan_leader_status", role="cleanup-worker") == 1
    assert value(made, "titan_leader_epoch", role="cleanup-worker") == 7
    assert value(made, "titan_leader_status", role="external-sync") == 0
    assert value(made, "titan_log_dropped_total") == 7
    assert [
        labels for name, labels in samples(made) if name == "titan_build_info" and ("version", __version__) in labels
    ]
    assert (value(made, "process_open_fds") or 0) > 0


def test_a_dependency_that_is_down_or_away_is_0():
    made = Metrics()
    made.watch_dependencies(
        lambda: {
            "database": CheckResult(Status.DOWN, 0.0, ""),
            "redis": CheckResult(Status.DEGRADED, 0.0, "", is_away=True),
        }
    )
    assert value(made, "titan_up_dependency", name="database") == 0
    assert value(made, "titan_up_dependency", name="redis") == 0


def test_how_many_clients_redis_has_is_absent_while_unknown():
    figures = [12.0, None]
    made = Metrics()
    made.watch_redis(lambda: figures[0])
    assert value(made, "redis_connected_clients") == 12
    figures.pop(0)
    assert value(made, "redis_connected_clients") is None


def test_the_lag_of_a_replica_is_absent_while_unknown():
    figures = [0.0, None]
    made = Metrics()
    made.watch_replica(lambda: figures[0])
    assert value(made, "pg_replica_lag_seconds") == 0
    figures.pop(0)
    assert value(made, "pg_replica_lag_seconds") is None


def test_a_tasks_runs_are_there_before_the_first_and_counted_by_outcome():
    made = complete()
    labels = {"task": "blob-cleanup"}
    assert value(made, "titan_leader_task_runs_total", **labels, outcome="succeeded") == 0
    assert value(made, "titan_leader_task_runs_total", **labels, outcome="failed") == 1
    assert value(made, "titan_leader_task_duration_seconds_sum", **labels) == 0.2
    assert value(made, "titan_leader_task_last_success_timestamp_seconds", **labels) == 1_700_000_000.5
    assert value(made, "titan_submodels", template="x") == 1


def test_two_registries_know_nothing_of_each_other():
    one, other = Metrics(), Metrics()
    one.request_started()
    assert value(other, "http_requests_in_progress") == 0


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain"),
        ("text/plain;version=0.0.4", "text/plain"),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_the_scraper_chooses_the_format(accept, media_type):
    text, chosen = Metrics().render(accept)
    assert chosen.startswith(media_type)
    assert text.endswith(b"# EOF\n") is (media_type != "text/plain")


# --- one request, one line


class Log:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def __getattr__(self, level: str):
        return lambda event, **details: self.lines.append((level, event, details))


def record(**changes) -> RequestRecord:
    values: dict[str, Any] = {
        "method": "GET",
        "operation": "GetSubmodelById",
        "path": "/submodels/YQ",
        "status": 200,
        "duration_s": 0.0012345,
        "received_bytes": 0,
        "sent_bytes": 42,
        "request_id": "abc",
        "client": "127.0.0.1",
        "traceparent": None,
    }
    return RequestRecord(**(values | changes))


def told(**changes) -> tuple[str, str, dict[str, object]]:
    log = Log()
    RequestTelemetry(log, Metrics()).request_finished(record(**changes))
    (line,) = log.lines
    return line


def test_a_request_is_one_line_and_one_count():
    log, made = Log(), Metrics()
    telemetry = RequestTelemetry(log, made)
    telemetry.request_started()
    telemetry.request_finished(record())
    assert log.lines == [
        (
            "info",
            "request",
            {
                "method": "GET",
                "operation": "GetSubmodelById",
                "path": "/submodels/YQ",
                "status": 200,
                "duration_ms": 1.234,
                "received_bytes": 0,
                "sent_bytes": 42,
                "request_id": "abc",
                "client": "127.0.0.1",
                "caller": "anonymous",
            },
        )
    ]
    assert value(made, "http_requests_total", method="GET", operation="GetSubmodelById", status="200") == 1
    assert value(made, "http_requests_in_progress") == 0


def test_the_trace_is_named():
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert told(traceparent=f"00-{trace}-00f067aa0ba902b7-01")[2]["trace_id"] == trace


def test_a_request_that_could_not_be_served_now_says_why():
    assert told(status=429, because="too many requests")[2]["because"] == "too many requests"
    assert "because" not in told(status=429)[2]


def test_the_rate_limits_work_is_counted():
    made = Metrics()
    tell = made.watch_rate_limit()
    tell("local", True)
    tell("local", True)
    tell("local", False)
    name = "titan_rate_limit_requests_total"
    assert value(made, name, counted_by="local", outcome="granted") == 2
    assert value(made, name, counted_by="local", outcome="refused") == 1


def test_a_long_path_is_cut():
    assert len(str(told(path="/submodels/" + "x" * 20_000)[2]["path"])) == MAX_PATH_CHARS + 1


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"status": 404}, "info"),
        ({"status": 503}, "error"),
        ({"operation": "health_live"}, "debug"),
        ({"operation": "health_ready", "status": 503}, "debug"),
        ({"operation": "health_ready", "status": 500}, "error"),
        ({"operation": "health_live", "status": 503}, "error"),
        ({"operation": "metrics"}, "debug"),
    ],
)
def test_how_loud_a_request_is(changes, level):
    assert told(**changes)[0] == level


def test_what_nobody_expected_is_told_whole():
    log = Log()
    telemetry = RequestTelemetry(log, Metrics())
    error = ValueError("x")
    telemetry.request_failed(record(status=500), error)
    telemetry.connection_failed(error)
    telemetry.accept_paused("too many open files")
    telemetry.accept_resumed()
    telemetry.certificate_changed(1e9)
    telemetry.certificate_refused("no key")
    assert log.lines == [
        ("error", "request failed", {"operation": "GetSubmodelById", "request_id": "abc", "exc_info": error}),
        ("error", "connection failed", {"exc_info": error}),
        ("warning", "accepting paused", {"reason": "too many open files"}),
        ("info", "accepting again", {}),
        ("info", "certificate changed", {"expires": "2001-09-09T01:46:40+00:00"}),
        (
            "error",
            "certificate refused",
            {"reason": "no key", "advice": "the certificate read before stays in use"},
        ),
    ]
