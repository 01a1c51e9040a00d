"""What wrk reports is read whole, its failures above all."""

import json
import shutil

import pytest

from tests.bench import load, profile, twins
from tests.bench.figures import Unmeasurable
from titan.model.documents import Prepared, prepare
from titan.store.contract import Kind

REPORT = """Running 2s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Latency Distribution
     50%   13.20ms
     75%   14.00ms
     90%  900.00us
     99%    1.50s
  4800 requests in 2.00s, 20.00MB read
{extra}Requests/sec:   2400.50
Transfer/sec:     10.00MB
"""


def test_rate_and_latencies_are_read():
    assert load.parse(REPORT.format(extra="")) == load.Rate(2400.5, 0.0132, 1.5, 0)


def test_refused_requests_and_socket_errors_are_failures():
    extra = "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\n"
    assert load.parse(REPORT.format(extra=extra)).failed == 15


def test_a_missing_wrk_is_said(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(Unmeasurable, match="apt-get install wrk"):
        load.start("http://127.0.0.1:1/", connections=1, seconds=1)


@pytest.mark.parametrize("size", [1024, 4096, 65536])
def test_the_documents_are_valid_and_of_the_size_asked_for(size):
    raw = twins.submodel("urn:x", size)
    assert len(raw) == size
    assert json.loads(raw)["id"] == "urn:x"
    assert isinstance(prepare(Kind.SUBMODEL, raw), Prepared)


def test_the_profile_counts_own_and_inner_time_by_process():
    lines = [
        "process 1:python;run (titan/http/app.py:3);loads (titan/model/a.py:1) 3",
        "process 1:python;run (titan/http/app.py:9);run (titan/http/app.py) 1",
        "process 1:python;wait (threading.py:1);Condition.wait (threading.py:1) 7",
        "process 1:python;process 2:writer;commit (titan/store/sqlite/writer.py:1) 2",
    ]
    shares = profile.read(lines)
    assert shares["process 2:writer"].samples == 2
    one = shares["process 1:python"]
    assert one.own == {"titan/model/a.py:loads": 3, "titan/http/app.py:run": 1}
    assert one.within == {"titan/http/app.py:run": 4, "titan/model/a.py:loads": 3}
    assert one.packages == {"titan/model": 3, "titan/http": 1}
