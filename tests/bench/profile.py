"""What binds a figure: the server under load, sampled by py-spy, as shares of its busy time."""

import re
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

from tests.bench import files, http, load, postgres, processes
from tests.bench.figures import Run, Unmeasurable
from tests.support.server import ROOT, clean_environment, serving

SAMPLES_PER_S = 200
TOP = 25
LONGER_S = 2
"""Load goes on for this much longer than the sampling, which needs a while to begin."""
WAITING = frozenset(
    {"Condition.wait", "WorkerThread._work", "EpollIOManager.get_events", "StopSignals._watch", "Channel.receive"}
)
"""Functions that only wait: py-spy now and then takes a thread inside a system call for a busy one."""
_SITE = sysconfig.get_paths()["purelib"]
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^:)]+)(?::\d+)?\)$")


@dataclass(slots=True)
class Shares:
    """Samples by who was at work (`own`) and by who was anywhere on the stack (`within`)."""

    samples: int = 0
    packages: Counter[str] = field(default_factory=Counter)
    own: Counter[str] = field(default_factory=Counter)
    within: Counter[str] = field(default_factory=Counter)


def read(lines: Iterable[str]) -> dict[str, Shares]:
    """Read collapsed stacks (`outer;…;inner count`) by process."""
    by_process: dict[str, Shares] = {}
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        frames = stack.split(";")
        process = "process"
        while frames and frames[0].startswith("process "):  # a child comes after its parents
            process = frames.pop(0)
        if not frames:
            continue
        shares, samples = by_process.setdefault(process, Shares()), int(count)
        places = [place(frame) for frame in frames]
        if places[-1].rpartition(":")[2] in WAITING:
            continue
        shares.samples += samples
        shares.own[places[-1]] += samples
        shares.packages[package(places[-1])] += samples
        for name in set(places):
            shares.within[name] += samples
    return by_process


def place(frame: str) -> str:
    """Shorten a frame to its file below the checkout or site-packages, and its function."""
    match = _FRAME.match(frame)
    if not match:
        return frame
    file = match["file"].removeprefix(f"{_SITE}/").removeprefix(f"{ROOT}/")
    return f"{re.sub(r'^.*/lib/python3[^/]*/', 'python/', file)}:{match['function']}"


def package(name: str) -> str:
    """Name the library, or for our own code its folder."""
    parts = name.partition(":")[0].split("/")
    return "/".join(parts[:2]) if parts[0] in {"titan", "supervisors"} else parts[0]


def show(name: str, *, seconds: int) -> None:
    """Do the work behind a figure and print where its time went."""
    with tempfile.TemporaryDirectory(prefix="titan-profile-") as folder, ExitStack() as closing:
        stacks = PROFILES[name](Run(Path(folder), 1, seconds, lambda _text: None, closing))
    for process, shares in read(stacks).items():
        print_shares(process, shares)


Load = Callable[[Run, str], Iterator["subprocess.Popen[str]"]]
"""Starts the clients of a server at an address."""


def on_postgres(load_it: Load, run: Run) -> list[str]:
    """Sample a server over a PostgreSQL of its own under a load."""
    return under(load_it, run, {"DATABASE_URL": postgres.database(run)})


def under(load_it: Load, run: Run, settings: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Sample a running server under a load; print its rate and what a request costs in processor time."""
    server = run.closing.enter_context(serving(run.folder / "data", settings=settings))
    loads = list(load_it(run, server.url))
    pids = processes.tree(server.pid)
    before_s = [processes.cpu_s(pid) for pid in pids]
    stacks = record(["--pid", str(server.pid)], run)
    after_s = [processes.cpu_s(pid) for pid in pids]
    rates = [load.finish(process) for process in loads]
    for rate in rates:
        print(f"{rate.per_s:,.0f}/s (slowed by sampling), p99 {rate.p99_s * 1e3:.1f} ms, failed {rate.failed}")
    requests = sum(rate.per_s for rate in rates) * run.seconds
    for pid, before, after in zip(pids, before_s, after_s, strict=True):
        print(f"process {pid}: {(after - before) / requests * 1e6:.0f} µs of processor a request")
    return stacks


def of_command(arguments: list[str], run: Run) -> list[str]:
    """Sample a command of `titan` from exec on, to its end or for as long as was asked."""
    return record(["--", sys.executable, "-m", "titan", *arguments], run)


def record(target: list[str], run: Run) -> list[str]:
    """Sample processes with their children; idle threads do not count."""
    py_spy, output = Path(sysconfig.get_path("scripts")) / "py-spy", run.folder / "stacks"
    options = ["--subprocesses", "--function", "--format", "raw", "--rate", str(SAMPLES_PER_S)]
    done = subprocess.run(
        [py_spy, "record", "--duration", str(run.seconds), *options, "--output", output, *target],
        env=clean_environment({"TITAN_DATA_DIR": str(run.folder / "data"), "TITAN_PORT": "0"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if not output.exists():
        raise Unmeasurable(f"py-spy could not sample (it needs the right to trace):\n{done.stderr}")
    return output.read_text().splitlines()


def print_shares(process: str, shares: Shares) -> None:
    """Print the shares of one process."""
    print(f"\n{process[:100]}: {shares.samples / SAMPLES_PER_S:.2f} s of work sampled")
    for title, counter in (("library", shares.packages), ("itself", shares.own), ("with what it calls", shares.within)):
        print(f"  -- {title}")
        for name, samples in counter.most_common(TOP):
            print(f"  {samples / shares.samples:6.1%}  {name}")


def _get(run: Run, url: str) -> Iterator["subprocess.Popen[str]"]:
    yield load.start(http.create(url, http.HOT), connections=http.CLIENTS, seconds=run.seconds + LONGER_S)


def _post(run: Run, url: str) -> Iterator["subprocess.Popen[str]"]:
    script = http.Posts(run).script()
    seconds = run.seconds + LONGER_S
    yield load.start(f"{url}/submodels", connections=http.CLIENTS, seconds=seconds, script=script)


def _mixed(run: Run, url: str) -> Iterator["subprocess.Popen[str]"]:
    yield load.start(http.create(url, http.HOT), connections=http.READERS, seconds=run.seconds + LONGER_S)
    yield from _post(run, url)


def _twins(method: str, run: Run, url: str) -> Iterator["subprocess.Popen[str]"]:
    script = postgres.request_script(method, postgres.create_twins(url), newest=method == "GET")
    yield load.start(url, connections=http.CLIENTS, seconds=run.seconds + LONGER_S, script=script)


def _import(run: Run) -> list[str]:
    return of_command(["import", str(files.folder(run.folder / "input", 1000 * run.seconds))], run)


PROFILES: Mapping[str, Callable[[Run], list[str]]] = {
    "get": partial(under, _get),
    "post": partial(under, _post),
    "mixed": partial(under, _mixed),
    "pg-get": partial(on_postgres, partial(_twins, "GET")),
    "cached-get": partial(on_postgres, _get),
    "pg-put": partial(on_postgres, partial(_twins, "PUT")),
    "import": _import,
    "start": partial(of_command, ["serve"]),
}
