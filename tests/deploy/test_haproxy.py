"""The HAProxy file that users get: HAProxy takes it, and an instance that is not ready gets nothing by it."""

import re
import subprocess
import time
from collections.abc import Callable

import httpx

from tests.support.haproxy import CONFIGURATION, balancing, program, render
from tests.support.postgres_store import fresh_database
from tests.support.proxy import proxied
from tests.support.server import Server, free_port, serving
from tests.support.traffic import traffic
from tests.support.waiting import wait_until
from titan.api.results import CODES

OUT_WITHIN_S = 3.0
CLIENTS = 8


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program(), "-c", *arguments], capture_output=True, text=True, timeout=20, check=False)


def test_haproxy_takes_it_without_a_word_of_warning(tmp_path):
    rendered = tmp_path / "haproxy.cfg"
    rendered.write_text(render(18080, [18081, 18082, 18083]))
    done = check("-dW", "-f", str(rendered))  # -dW: a warning is an error
    assert done.returncode == 0, done.stderr


def test_names_that_nobody_knows_yet_do_not_keep_it_from_starting():
    done = check("-f", str(CONFIGURATION))
    assert done.returncode == 0, done.stderr


def test_where_nobody_is_ready_clients_get_the_standards_result_and_when_to_come_back(tmp_path):
    with balancing(tmp_path, [free_port()]) as url:
        answer = httpx.get(f"{url}/shells")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["messages"][0]["code"] == CODES[503]


def taken(instance: Server) -> float:
    """Return how many requests of the API an instance has answered."""
    counts = re.findall(r'^http_requests_total\{.*operation="(\w+)".*\} (\S+)$', metrics(instance), re.MULTILINE)
    return sum(float(count) for operation, count in counts if operation.endswith(("Submodel", "SubmodelById")))


def metrics(instance: Server) -> str:
    return httpx.get(f"{instance.url}/metrics", timeout=10).text


def last_growth(count: Callable[[], float], *, watch_s: float) -> float:
    """Watch a count for so long; return after how many seconds it was last seen to grow."""
    began, before, grown = time.monotonic(), count(), 0.0
    while (now_s := time.monotonic() - began) < watch_s:
        if (now := count()) > before:
            before, grown = now, now_s
        time.sleep(0.05)
    return grown


def test_an_instance_that_is_not_ready_gets_nothing_and_is_back_when_it_is(postgres, tmp_path):
    with fresh_database(postgres) as name, proxied(postgres.port) as way:
        straight = {"DATABASE_URL": postgres.url(name)}
        around = {"DATABASE_URL": postgres.url(name).replace(f":{postgres.port}/", f":{way.port}/")}
        with (
            serving(tmp_path / "one", settings=straight) as one,
            serving(tmp_path / "other", settings=around) as other,
            balancing(tmp_path / "haproxy", [one.port, other.port]) as url,
            traffic(url, clients=CLIENTS) as sent,
        ):
            wait_until(lambda: taken(one) > 50 and taken(other) > 50, what="requests for both")
            way.cut()
            wait_until(lambda: not other.is_ready(), what="an instance without its database")
            assert last_growth(lambda: taken(other), watch_s=OUT_WITHIN_S + 1) <= OUT_WITHIN_S
            sent.wait_for(100)
            assert one.is_ready()
            way.heal()
            before = taken(other)
            wait_until(lambda: taken(other) > before + 50, what="requests for the one that is back")
