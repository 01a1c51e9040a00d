"""HAProxy as users run it: the file of deploy/haproxy with the addresses of the test, as a process of its own."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import balancer
from tests.support.balancer import listening, replaced
from tests.support.server import ROOT, free_port

CONFIGURATION = ROOT / "deploy" / "haproxy" / "haproxy.cfg"


def render(port: int, instances: Sequence[int]) -> str:
    """Return the users' file with this port to listen on and these instances; all else is theirs."""
    text = replaced(
        CONFIGURATION.read_text(),
        r"(?:^ *server titan-\d+ titan-\d+:8080 (.*)\n)+",
        lambda found: "".join(
            f"    server titan-{number} 127.0.0.1:{instance} {found[1]}\n"
            for number, instance in enumerate(instances, start=1)
        ),
    )
    if os.geteuid() != 0:  # nobody else may become another user
        text = replaced(text, r"^ *(user|group) haproxy\n", lambda _: "", times=2)
    return replaced(text, r"bind :80$", lambda _: f"bind 127.0.0.1:{port}")


def program() -> str:
    """Return the path of HAProxy."""
    return balancer.program("haproxy", "haproxy")


@contextlib.contextmanager
def balancing(folder: Path, instances: Sequence[int]) -> Iterator[str]:
    """Run HAProxy over instances on these loopback ports for the time of the block; yield its address."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "haproxy.cfg").write_text(render(port, instances))
    with listening([program(), "-db", "-f", str(folder / "haproxy.cfg")], port=port, log=folder / "log"):
        yield f"http://127.0.0.1:{port}"
