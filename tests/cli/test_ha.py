"""`titan ha check` as an operator sees it: against real stores, instances, kubectl, and against what is away."""

import json
import re
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cli.conftest import Titan
from tests.cluster.topology import guided
from tests.ha.evidence import PODS, deployment
from tests.support.kubernetes_api import kubeconfig, kubernetes_api
from tests.support.manifests import Object, rendered
from tests.support.nginx import balancing
from tests.support.postgres import running_server
from tests.support.prometheus import ALERTS as SHIPPED
from tests.support.prometheus import watching
from tests.support.redis import running_redis
from tests.support.server import free_port, serving
from tests.support.waiting import wait_until
from titan.ha.watching import ALERTS

TIMEOUT = ("--timeout", "20")  # nothing here is slow but the machine
with_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl here")


@pytest.fixture(autouse=True)
def _nothing_here(monkeypatch, tmp_path):
    """kubectl has a configuration of ours, which names nobody, and keeps nothing outside; there is no store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, f"http://127.0.0.1:{free_port()}")))
    monkeypatch.setenv("HOME", str(tmp_path))


def checked(titan: Titan, *arguments: object, code: int = 1) -> dict[str, tuple[str, str]]:
    """Return verdict and text of each item."""
    ended = titan("ha", "check", "--json", *TIMEOUT, *arguments)
    assert (ended.code, ended.err) == (code, "")
    shown = json.loads(ended.out)
    items = {item["name"]: (item["verdict"], f"{item['reason']} | {item['to_do']}") for item in shown["items"]}
    assert shown["failed"] == [verdict for verdict, _ in items.values()].count("fail")
    return items


def verdicts(items: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name: verdict for name, (verdict, _) in items.items()}


def test_the_embedded_store_fails_what_needs_several(titan, data_dir, monkeypatch):
    monkeypatch.setenv("TITAN_DATA_DIR", str(data_dir))
    items = checked(titan)
    failed = {name for name, verdict in verdicts(items).items() if verdict == "fail"}
    assert failed == {"instances", "replication", "redis"}
    assert "refused" in items["disruption-budget"][1]
    ended = titan("ha", "check", *TIMEOUT)
    assert ended.code == 1
    assert "fail         Minimum 3 Titan-AAS instances\n             the embedded store is one process\n" in ended.out


def test_instances_are_counted_by_the_database_they_are_connected_to(titan, postgres, database, tmp_path):
    url = postgres.url(database)
    with (
        serving(tmp_path / "a", settings={"DATABASE_URL": url, "TITAN_INSTANCE_ID": "titan-1"}) as one,
        serving(tmp_path / "b", settings={"DATABASE_URL": url, "TITAN_INSTANCE_ID": "titan-2"}) as two,
        balancing(tmp_path / "proxy", [one.port, two.port]) as proxy,
    ):
        items = checked(titan, "--max-replicas", "2", "--balancer", proxy)
        assert items["instances"][0] == "fail"
        assert "connected to the database: titan-1, titan-2 |" in items["instances"][1]
        assert items["connections"][0] == "pass"
        assert "2 instances x 22 connections" in items["connections"][1]
        assert items["balancer"] == ("pass", f"{proxy}/health/ready says ready | ")
        with serving(tmp_path / "c", settings={"DATABASE_URL": url, "TITAN_INSTANCE_ID": "titan-3"}) as three:
            items = checked(titan, "--max-replicas", "3")
            assert items["instances"] == ("pass", "connected to the database: titan-1, titan-2, titan-3 | ")
            assert items["connections"][0] == "fail"  # 66 of 60
            urls = [word for server in (one, two, three) for word in ("--url", server.url)]
            assert checked(titan, *urls)["instances"][0] == "pass"
            three.kill()
            three.wait()
            text = checked(titan, *urls)["instances"]
            assert text[0] == "fail"
            assert f"2 of the URLs are ready; {three.url} does not answer: " in text[1]


def test_where_there_is_no_installation_nothing_can_be_told(titan):
    items = checked(titan, code=0)
    assert set(verdicts(items).values()) == {"cannot tell"}
    for name in ("instances", "replication", "redis", "connections"):
        assert items[name][1].startswith("DATABASE_URL is not set here")


def test_a_store_that_cannot_be_looked_for_is_a_reason(titan, monkeypatch):
    monkeypatch.setenv("TITAN_DATA_DIR", "x" * 300)
    items = checked(titan, code=0)
    for name in ("instances", "replication", "redis", "connections"):
        verdict, said = items[name]
        assert verdict == "cannot tell"
        assert "File name too long" in said


def test_what_is_asked_for_its_health_gets_no_token(titan, monkeypatch):
    monkeypatch.setenv("TITAN_TOKEN", "s3cret")

    def hear() -> bytes:
        connection, _ = listener.accept()
        with connection:
            return connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        listener.settimeout(20)
        heard = pool.submit(hear)
        titan("ha", "check", "--balancer", f"http://127.0.0.1:{listener.getsockname()[1]}", "--timeout", "1")
        assert heard.result().startswith(b"GET /health/ready ")
        assert b"s3cret" not in heard.result()


def test_what_is_away_cannot_be_told_and_no_password_is_shown(titan, monkeypatch):
    with running_server() as server, running_redis() as redis:
        monkeypatch.setenv("DATABASE_URL", server.url().replace("titan@", "titan:m4rk3r@"))
        monkeypatch.setenv("REDIS_URL", redis.url(login=":m4rk3r"))
    ended = titan("ha", "check", "--json", *TIMEOUT, "--prometheus", f"http://127.0.0.1:{free_port()}")
    assert (ended.code, ended.err) == (0, "")
    items = json.loads(ended.out)["items"]
    assert {item["verdict"] for item in items} == {"cannot tell"}
    assert sum("Connection refused" in item["reason"] for item in items) >= 5
    assert "m4rk3r" not in ended.out


def test_what_never_answers_holds_nobody_up(titan, monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("DATABASE_URL", f"postgresql://titan@{address}/titan?sslmode=disable")
        monkeypatch.setenv("REDIS_URL", f"redis://{address}/0?sentinelMaster=mymaster")
        http = f"http://{address}"
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, http)))
        began = time.monotonic()
        ended = titan(
            "ha", "check", "--json", "--timeout", "0.5", "--url", http, "--prometheus", http, "--balancer", http
        )
        assert time.monotonic() - began < 20  # not minutes
    assert ended.code == 1  # of the URLs that were named none is ready, and there is nothing behind the balancer
    items = {item["name"]: item for item in json.loads(ended.out)["items"]}
    assert {name for name, item in items.items() if item["verdict"] == "fail"} == {"instances", "balancer"}


def test_on_the_guides_drawing_all_passes_that_can_be_told(titan, monkeypatch, tmp_path):
    with guided(tmp_path) as made:
        here, ports = made.installation, [instance.port for instance in made.instances]
        for name in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.setenv(name, here.settings[name])
        with watching(tmp_path / "watching", ports, every_s=1) as prometheus:
            wait_until(lambda: prometheus.up() == 3, within_s=20, what="three instances that are asked")
            asked = ("--balancer", made.url, "--prometheus", prometheus.url, "--max-replicas", "3")
            items = checked(titan, *asked, code=0)
            untold = {name for name, verdict in verdicts(items).items() if verdict != "pass"}
            assert untold == {"disruption-budget", "anti-affinity", "recovery"}
            assert f"{len(ALERTS)} alerts in group titan-ha; 3 of 3 targets up" in items["alerts"][1]
            assert "streaming (async" in items["replication"][1]

            made.instances[2].kill()
            wait_until(lambda: prometheus.up() == 2, within_s=20, what="an instance that does not answer")
            items = checked(titan, *asked)
            failed = {name for name, verdict in verdicts(items).items() if verdict == "fail"}
            assert failed == {"instances", "alerts"}
            assert f"see why 127.0.0.1:{ports[2]} cannot be scraped" in items["alerts"][1]


def test_the_alerts_that_are_asked_for_are_those_that_are_shipped():
    assert re.findall(r"- alert: (\w+)", SHIPPED.read_text()) == list(ALERTS)


def deployed(document: Object) -> Object:
    """Fill in what the API and the autoscaler do."""
    if document["kind"] != "Deployment":
        return document
    return {**document, "spec": {**document["spec"], "replicas": 3}}


@with_kubectl
def test_a_namespace_by_kubectl(titan, postgres, database, monkeypatch, tmp_path):
    with kubernetes_api(tmp_path, [*map(deployed, rendered()), *PODS]) as config:
        monkeypatch.setenv("KUBECONFIG", str(config))
        items = checked(titan, "--namespace", "twins")
        assert items["balancer"][0] == "pass"
        assert items["disruption-budget"] == (
            "pass",
            "titan-aas-pdb keeps 2 of 3 pods, disruptions allowed now: unknown | ",
        )
        assert items["anti-affinity"] == ("pass", "the rule is there; 3 pods run on 3 nodes | ")
        assert "13 instances x 22 connections" in items["connections"][1]


@with_kubectl
def test_a_kind_that_may_not_be_read_is_a_reason(titan, monkeypatch, tmp_path):
    with kubernetes_api(tmp_path, [deployment()], refuses="poddisruptionbudgets") as config:
        monkeypatch.setenv("KUBECONFIG", str(config))
        verdict, text = checked(titan, code=0)["disruption-budget"]
    assert verdict == "cannot tell"
    assert 'User "u" cannot list resource "poddisruptionbudgets"' in text


@with_kubectl
def test_a_titan_is_no_cluster_and_no_prometheus(titan, tmp_path, monkeypatch):
    """It listens on 8080, where kubectl without a configuration asks."""
    with serving(tmp_path / "a") as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server.url)))
        items = checked(titan, "--prometheus", server.url, code=0)
    assert verdicts(items)["anti-affinity"] == verdicts(items)["alerts"] == "cannot tell"
    assert "answered 404, not like a Prometheus" in items["alerts"][1]


def test_without_kubectl(titan, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checked(titan, code=0)["anti-affinity"][1].startswith("there is no kubectl here")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "titan-1:8080"),
        ("--url", "ftp://titan-1"),
        ("--prometheus", "http://admin:m4rk3r@prometheus:9090"),
        ("--balancer", "http://[::1"),
        ("--url", "http://titan..1:8080"),
        ("--max-replicas", "0"),
        ("--timeout", "0"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(titan, arguments):
    ended = titan("ha", "check", *arguments)
    assert ended.code == 2
    assert "m4rk3r" not in ended.out + ended.err
