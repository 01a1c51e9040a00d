"""Load by wrk, one process per kind of client; every figure is of one bounded run."""

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Unmeasurable

_UNIT_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}

# A POST script for wrk: every request is a new document; `init` gives each run a prefix of its own.
_POST_LUA = """
local head, tail = %s, %s
local n = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  n = n + 1
  return wrk.format(nil, nil, nil, head .. "%s" .. string.format("%%08d", n) .. tail)
end
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """What one run of wrk saw. Seconds; `failed` are answers of 400 and above plus socket errors."""

    per_s: float
    p50_s: float
    p99_s: float
    failed: int


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    assert match, text
    return float(match[1]) * _UNIT_S[match[2]]


def parse(output: str) -> Rate:
    """Read wrk's report."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    p50 = re.search(r"\s50%\s+(\S+)", output)
    p99 = re.search(r"\s99%\s+(\S+)", output)
    assert rate, output
    assert p50, output
    assert p99, output
    failed = sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", output))
    if errors := re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output):
        failed += sum(int(number) for number in errors.groups())
    return Rate(float(rate[1]), _seconds(p50[1]), _seconds(p99[1]), failed)


def start(url: str, *, connections: int, seconds: int, script: Path | None = None) -> "subprocess.Popen[str]":
    """Start wrk with one thread; read its report with `finish`."""
    if shutil.which("wrk") is None:
        raise Unmeasurable("wrk is missing (Debian/Ubuntu: apt-get install wrk); ./dev bench installs it")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    if script:
        command += ["-s", str(script)]
    return subprocess.Popen([*command, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: "subprocess.Popen[str]") -> Rate:
    """Wait for a started wrk and return what it saw."""
    output, _ = process.communicate(timeout=120)
    return parse(output)


def run(url: str, *, connections: int, seconds: int, script: Path | None = None) -> Rate:
    """Run wrk to its end."""
    return finish(start(url, connections=connections, seconds=seconds, script=script))


def post_script(document: bytes, placeholder: str, prefix: str) -> Path:
    """Write a script that posts `document` again and again, `placeholder` replaced by `prefix` and a running number."""
    head, _, tail = document.decode().partition(placeholder)
    return write_script(_POST_LUA % (json.dumps(head), json.dumps(tail), prefix))


def write_script(text: str) -> Path:
    """Write a script for wrk."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False) as file:
        file.write(text)
    return Path(file.name)
