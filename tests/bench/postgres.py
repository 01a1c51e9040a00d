"""One instance over PostgreSQL: against Q, `pgbench`, the island's bare selects and nginx with static files."""

import json
import os
import re
import statistics
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.bench import http, load, processes, twins
from tests.bench.figures import Figure, Run, Target, Unmeasurable, at_least, at_most, number
from tests.support import nginx
from tests.support.postgres import Postgres, running_server
from tests.support.postgres_programs import as_postgres, programs
from tests.support.postgres_store import fresh_database
from tests.support.server import ROOT, clean_environment, serving
from tests.support.traffic import traffic

TWINS = 1000
CLIENTS = 32

_SCRIPT = """
local ids = {%s}
%s
local head, tail = %s, %s
wrk.headers["Content-Type"] = "application/json"
request = function()
  local n = math.random(#ids)
  return wrk.format(%s, "/submodels/" .. ids[n], nil, %s)
end
"""


def measure(run: Run) -> Iterator[Figure]:
    """Let all of them take turns on one machine."""
    server = start_server(run)
    url = server.url(run.closing.enter_context(fresh_database(server)))
    bench = server.create_database("pgbench")
    pgbench(bench, "-i", "-q", "-s", "10")
    q_url = run.closing.enter_context(processes.yardstick(http.SIZE))
    static = run.closing.enter_context(nginx.serving_file(run.folder / "nginx", b"x" * http.SIZE))
    titan = run.closing.enter_context(serving(run.folder / "a", settings={"DATABASE_URL": url}))
    ids = create_twins(titan.url)
    get, put = request_script("GET", ids, newest=True), request_script("PUT", ids)
    posts = http.Posts(run)
    seen: defaultdict[str, list[float]] = defaultdict(list)
    for turn in range(run.rounds):
        run.say(f"turn {turn + 1} of {run.rounds}")
        seen["q"].append(http.rate(q_url, run.seconds))
        seen["get"].append(http.rate(titan.url, run.seconds, script=get))
        seen["island"].append(island_selects(url, run.seconds))
        seen["pgbench -S"].append(pgbench_rate(bench, run.seconds, "-S"))
        seen["nginx"].append(http.rate(static, run.seconds))
        seen["put"].append(http.rate(titan.url, run.seconds, script=put))
        seen["pgbench -N"].append(pgbench_rate(bench, run.seconds, "-N"))
        seen["q post"].append(posts.rate(q_url))
        seen["post"].append(posts.rate(titan.url))
        seen["list"].append(http.rate(f"{titan.url}/submodels?limit=100", run.seconds, clients=4))
    yield from figures(seen)
    yield memory(run, url)
    cores = os.cpu_count() or 1
    if cores < 4:
        run.say(f"two instances against one: not measured, {cores} cores are shared by the load and PostgreSQL")


def start_server(run: Run) -> Postgres:
    """Start a PostgreSQL that is as durable as a production one."""
    durable = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB", "max_connections": "100"}
    return run.closing.enter_context(running_server(**durable))


def database(run: Run) -> str:
    """Return the URL of an empty database on a server of its own."""
    server = start_server(run)
    return server.url(run.closing.enter_context(fresh_database(server)))


def create_twins(url: str) -> list[str]:
    """Post the twins; return their ids."""
    ids = [f"urn:bench:twin:{n:04d}" for n in range(TWINS)]
    for document_id in ids:
        http.create(url, document_id)
    return ids


def figures(seen: "defaultdict[str, list[float]]") -> Iterator[Figure]:
    """Compare what took turns."""
    yield ratio(
        "GET by id from the primary (no-cache), 1,000 twins, 32 clients", seen, "get", "q", at_least(0.4), "× Q"
    )
    yield ratio("the same against the island's bare point selects", seen, "get", "island", None)
    yield ratio("the same against `pgbench -S`", seen, "get", "pgbench -S", None)
    yield ratio("the same against nginx with a static file", seen, "get", "nginx", None)
    yield ratio("PUT of 4 KB against `pgbench -N -M simple -c 32 -j 1`", seen, "put", "pgbench -N", at_least(0.07))
    yield ratio("POST of 4 KB, 32 clients", seen, "post", "q post", None, "× Q")
    rate = statistics.median(seen["list"])
    yield Figure("postgres", "List of 100 twins of 4 KB, 4 clients", rate, "/s", None)


def ratio(
    name: str, seen: "defaultdict[str, list[float]]", ours: str, theirs: str, target: Target | None, unit: str = "×"
) -> Figure:
    """Return the median of the turns' ratios."""
    ratios = [a / b for a, b in zip(seen[ours], seen[theirs], strict=True)]
    detail = f"{number(statistics.median(seen[ours]))}/s against {number(statistics.median(seen[theirs]))}/s"
    return Figure("postgres", name, statistics.median(ratios), unit, target, detail)


def memory(run: Run, url: str) -> Figure:
    """Measure a fresh instance that took and gave 1,000 documents."""
    with serving(run.folder / "b", settings={"DATABASE_URL": url}) as fresh:
        with traffic(fresh.url, clients=16) as sent:
            sent.wait_for(2 * TWINS, timeout_s=120)
        if lost := sent.lost():
            raise Unmeasurable(f"{len(lost)} requests failed, the first: {lost[0]}")
        used = processes.pss_mb(processes.tree(fresh.pid))
    return Figure("postgres", "Memory (PSS) after 1,000 documents of 4 KB", used, "MB", at_most(140))


def request_script(method: str, ids: list[str], *, newest: bool = False) -> Path:
    """Write a script for wrk that asks for one of the twins at random; PUT replaces it by one with other values.

    `newest`: from the primary, not from a cache.
    """
    no_cache = 'wrk.headers["Cache-Control"] = "no-cache"' if newest else ""
    encoded = ",".join(f'"{urlsafe_b64encode(one.encode()).decode().rstrip("=")}"' for one in ids)
    if method == "GET":
        head, tail, body = "", "", "nil"
    else:
        document = twins.submodel(twins.PLACEHOLDER, http.SIZE - len(ids[0]) + len(twins.PLACEHOLDER)).decode()
        head, _, tail = document.partition(twins.PLACEHOLDER)
        body = 'head .. string.format("urn:bench:twin:%04d", n - 1) .. tail'
    return load.write_script(
        _SCRIPT % (encoded, no_cache, json.dumps(head), json.dumps(tail), json.dumps(method), body)
    )


def pgbench(url: str, *arguments: str) -> str:
    """Run pgbench on a database; return what it prints."""
    done = subprocess.run(
        [str(programs() / "pgbench"), *arguments, url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **as_postgres(),
    )
    if done.returncode:
        raise Unmeasurable(f"pgbench {' '.join(arguments)}: {done.stderr}")
    return str(done.stdout)


def pgbench_rate(url: str, seconds: int, kind: str) -> float:
    """Return transactions a second: -S point selects, -N an update, a select and an insert."""
    out = pgbench(url, kind, "-n", "-M", "simple", "-c", str(CLIENTS), "-j", "1", "-T", str(seconds))
    found = re.search(r"tps = ([\d.]+)", out)
    if found is None:
        raise Unmeasurable(f"pgbench printed no rate:\n{out}")
    return float(found[1])


def island_selects(url: str, seconds: int) -> float:
    """Return point selects a second through the island alone, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.island", url, str(seconds), str(CLIENTS)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise Unmeasurable(f"the island's selects failed:\n{done.stderr}")
    return float(done.stdout)
