"""Logs, metrics and systemd's datagrams of a real server."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.documents import reference
from tests.support.server import Server, clean_environment, serving
from tests.support.waiting import wait_until
from titan.telemetry import metrics, task_metrics

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.logs().splitlines()]


def told(server: Server, request_id: str) -> list[dict[str, Any]]:
    """Lines about one request, as soon as there is one."""
    deadline = time.monotonic() + 5
    while True:
        found = [line for line in lines(server) if line.get("request_id") == request_id]
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.01)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    settings = {"TITAN_LOG_FORMAT": "json", "TITAN_INSTANCE_ID": "titan-7"}
    with serving(tmp_path_factory.mktemp("served") / "data", settings=settings) as server:
        yield server


def test_a_request_is_one_line_without_what_was_asked_or_sent(server):
    headers = {
        "X-Request-ID": "req-1",
        "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
        "Authorization": "Bearer s3cret",
    }
    shell = {
        "modelType": "AssetAdministrationShell",
        "id": "urn:x",
        "idShort": "Confidential",
        "assetInformation": {"assetKind": "Instance", "globalAssetId": "urn:asset"},
    }
    httpx.post(f"{server.url}/shells", json=shell, headers=headers)
    (line,) = told(server, "req-1")
    assert {key: line[key] for key in ("event", "instance", "method", "path", "status", "client", "trace_id")} == {
        "event": "request",
        "instance": "titan-7",
        "method": "POST",
        "path": "/shells",
        "status": 201,
        "client": "127.0.0.1",
        "trace_id": TRACE,
    }
    assert line["duration_ms"] > 0
    assert line["received_bytes"] > 0
    httpx.get(f"{server.url}/shells", params={"idShort": "Hidden"}, headers={"X-Request-ID": "req-2"})
    (line,) = told(server, "req-2")
    assert (line["path"], line["status"]) == ("/shells", 200)
    httpx.post(f"{server.url}/shells", json=shell | {"id": 3}, headers={"X-Request-ID": "req-3"})
    assert len(told(server, "req-3")) == 1
    assert [word for word in ("Confidential", "Hidden", "s3cret") if word in server.logs()] == []


def test_actors_and_the_start_are_lines_of_their_own(server):
    started = {line["actor"] for line in lines(server) if line["event"] == "actor started"}
    assert {"titan/telemetry", "titan/frontend/http"} <= started
    (serving_line,) = [line for line in lines(server) if line["event"] == "serving"]
    assert serving_line["url"] == server.url


def test_every_metric_that_is_served_is_documented_and_the_other_way_round(server):
    submodel = {"modelType": "Submodel", "id": "urn:s", "semanticId": reference("urn:t")}
    httpx.post(f"{server.url}/submodels", json=submodel).raise_for_status()
    subprocess.run(
        [sys.executable, "-m", "titan", "tasks", "run", "metrics-aggregation", "--wait", "20"],
        env=clean_environment({"TITAN_DATA_DIR": str(server.data_dir)}),
        timeout=30,
        check=True,
    )
    wait_until(lambda: "titan_submodels{" in httpx.get(f"{server.url}/metrics").text, what="what was counted")
    text = httpx.get(f"{server.url}/metrics").text
    found = {
        f"{family.name}_total" if family.type == "counter" else family.name: {
            label for sample in family.samples for label in sample.labels
        }
        - {"le"}
        for family in text_string_to_metric_families(text)
        if not family.name.startswith("process_")
    }
    documented = {metric.name: set(metric.labels) for metric in metrics.ALL}
    optional = (
        metrics.TLS_EXPIRY,
        metrics.RATE_LIMIT,
        metrics.REPLICA_LAG,
        metrics.REDIS_CLIENTS,
        metrics.SYNC_DOCUMENTS,
        task_metrics.CURSOR_KEPT,  # nobody keeps one
    )
    absent = (*optional, *metrics.POSTGRES_ONLY)  # not configured
    for metric in absent:
        del documented[metric.name]
    assert found == documented


def test_status_draws_the_tree_of_a_real_server(server):
    done = subprocess.run(
        [sys.executable, "-m", "titan", "status"],
        env=clean_environment({"TITAN_PORT": str(server.port)}),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "telemetry" in done.stdout
    assert "running" in done.stdout


def test_standard_output_that_nobody_reads_holds_up_nothing(tmp_path: Path):
    read, write = os.pipe()
    try:
        with serving(tmp_path / "data", settings={"TITAN_LOG__LEVEL": "debug"}, stdout=write) as server:
            with httpx.Client(base_url=server.url) as client:
                for _ in range(600):  # some 200 bytes a line; a pipe holds 65,536
                    assert client.get("/health/live").status_code == 200
            began = time.monotonic()
            server.terminate()
            assert server.wait() == 0
            assert time.monotonic() - began < 5
    finally:
        os.close(read)
        os.close(write)


def test_standard_output_whose_reader_went_away_is_counted_and_ends_nothing(tmp_path: Path):
    read, write = os.pipe()
    os.close(read)
    try:
        with serving(tmp_path / "data", settings={"TITAN_LOG_FORMAT": "json"}, stdout=write) as server:
            httpx.get(f"{server.url}/shells")
            deadline = time.monotonic() + 5
            while "titan_log_dropped_total 0.0" in (text := httpx.get(f"{server.url}/metrics").text):
                assert time.monotonic() < deadline
            assert "titan_log_dropped_total" in text
            server.terminate()
            assert server.wait() == 0
            assert server.logs() == ""
    finally:
        os.close(write)
