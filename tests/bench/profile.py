"""What binds a figure: the server under load, sampled by py-spy, as shares of its busy time."""

import re
import subprocess
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import http, load
from tests.bench.figures import Run, Unmeasurable
from tests.support.server import ROOT, serving

SAMPLES_PER_S = 200
TOP = 25
WAITING = frozenset({"Condition.wait", "WorkerThread._work", "EpollIOManager.get_events", "StopSignals._watch"})
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
    """Run the server under a load and print where its time went."""
    with tempfile.TemporaryDirectory(prefix="titan-profile-") as folder, ExitStack() as closing:
        run = Run(Path(folder), 1, seconds + 2, lambda _text: None, closing)
        server = closing.enter_context(serving(run.folder / "data"))
        loads = list(LOADS[name](run, server.url))
        stacks = record(server.pid, seconds, run.folder / "stacks")
        rates = [load.finish(process) for process in loads]
    for rate in rates:
        print(f"{rate.per_s:,.0f}/s (slowed by sampling), p99 {rate.p99_s * 1e3:.1f} ms, failed {rate.failed}")
    for process, shares in read(stacks).items():
        print_shares(process, shares, seconds)


def record(pid: int, seconds: int, output: Path) -> list[str]:
    """Sample a process and its children; idle threads do not count."""
    py_spy = Path(sysconfig.get_path("scripts")) / "py-spy"
    options = ["--subprocesses", "--function", "--format", "raw", "--rate", str(SAMPLES_PER_S)]
    done = subprocess.run(
        [str(py_spy), "record", "--pid", str(pid), "--duration", str(seconds), *options, "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Unmeasurable(f"py-spy could not sample (it needs the right to trace):\n{done.stderr}")
    return output.read_text().splitlines()


def print_shares(process: str, shares: Shares, seconds: int) -> None:
    """Print the shares of one process."""
    print(f"\n{process[:100]}: busy {shares.samples / (seconds * SAMPLES_PER_S):.0%} of a core")
    for title, counter in (("library", shares.packages), ("itself", shares.own), ("with what it calls", shares.within)):
        print(f"  -- {title}")
        for name, samples in counter.most_common(TOP):
            print(f"  {samples / shares.samples:6.1%}  {name}")


def _get(run: Run, url: str) -> Iterator["subprocess.Popen[str]"]:
    yield load.start(http.create(url, http.HOT), connections=http.CLIENTS, seconds=run.seconds)


def _post(run: Run, url: str) -> Iterator["subprocess.Popen[str]"]:
    script = http.Posts(run).script()
    yield load.start(f"{url}/submodels", connections=http.CLIENTS, seconds=run.seconds, script=script)


def _mixed(run: Run, url: str) -> Iterator["subprocess.Popen[str]"]:
    yield load.start(http.create(url, http.HOT), connections=http.READERS, seconds=run.seconds)
    yield from _post(run, url)


LOADS: Mapping[str, Callable[[Run, str], Iterator["subprocess.Popen[str]"]]] = {
    "get": _get,
    "post": _post,
    "mixed": _mixed,
}
