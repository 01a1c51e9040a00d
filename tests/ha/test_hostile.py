"""Whatever answers in the place of Redis, Prometheus or an instance: a reason, never an error that nobody expected."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.ha.evidence import WELL
from titan.ha.evidence import Asked, Unknown, Watcher
from titan.ha.items import CHECKLIST, answers
from titan.ha.web import health, prometheus
from titan.redis.contract import Unreachable
from titan.redis.standing import standing
from titan.redis.url import parse

NOISE = [
    b"nonsense\r\n",
    b"*3\r\n$99999999999\r\n",
    b"+PONG\r\n",
    b"$-1\r\n",
    b"$3\r\nabc\r\n",
    b":7\r\n",
    b"*2\r\n:1\r\n:2\r\n",
    b"*1\r\n*2\r\n$5\r\nflags\r\n$1\r\nx\r\n",
    b"-ERR no\r\n",
    b"$28\r\nconnected_slaves:many\r\nrole:x\r\n",
    b"",
]
QUERIES = ["", "?sentinelMaster=mymaster", "?cluster=true"]


@contextlib.contextmanager
def babbling(said: bytes) -> Iterator[int]:
    """Answer whatever comes with this, each time; with nothing: hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.settimeout(1)
                    with connection, contextlib.suppress(OSError):
                        while (heard := connection.recv(65536)) and said:
                            connection.sendall(said * heard.count(b"*"))

        thread = threading.Thread(target=talk)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("said", NOISE)
def test_noise_is_no_redis(said: bytes, query: str) -> None:
    with babbling(said) as port, pytest.raises(Unreachable):
        standing(parse(f"redis://127.0.0.1:{port}/0{query}"), tls=None, within_s=0.5)


BODIES = [
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b'{"status":"success"}',
    b'{"status":"success","data":[]}',
    b'{"status":"success","data":{"groups":7,"activeTargets":{}}}',
    b'{"status":"success","data":{"groups":[null,{"name":"titan-ha","rules":[null,1,{"type":"alerting"}]}],"activeTargets":[1]}}',
    b'{"status":["ready"]}',
    b'{"status":' + b"[" * 100_000,
    b'{"status":' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("status", [200, 301, 404, 503])
@pytest.mark.parametrize("body", BODIES)
def test_noise_is_no_prometheus_and_no_instance(body: bytes, status: int) -> None:
    watcher = prometheus(lambda *_: (status, body), "http://prometheus")
    assert isinstance(watcher, Unknown if status != 200 else Unknown | Watcher)
    asked = health(lambda *_: (status, body), "http://titan-1")
    assert asked == Asked("http://titan-1", f"answered {status}")
    assert len(answers(replace(WELL, watcher=watcher, balancer=asked))) == len(CHECKLIST)
