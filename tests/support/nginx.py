"""nginx as users run it: the file of deploy/nginx with the addresses of the test, as a process of its own."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import balancer
from tests.support.balancer import listening, replaced
from tests.support.server import ROOT, free_port

CONFIGURATION = ROOT / "deploy" / "nginx" / "titan.conf"

# What a distribution's nginx.conf states around conf.d; paths lie in the test's folder.
_MAIN = """
{user}worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/titan.conf;
}}
"""


def render(port: int, instances: Sequence[int]) -> str:
    """Return the users' file with this port to listen on and these instances; all else is theirs."""
    text = replaced(
        CONFIGURATION.read_text(),
        r"(?:^ *server titan-\d+:8080 ([^;]*);\n)+",
        lambda found: "".join(f"    server 127.0.0.1:{instance} {found[1]};\n" for instance in instances),
    )
    return replaced(text, r"listen 80 ", lambda _: f"listen 127.0.0.1:{port} ")


def program() -> str:
    """Return the path of nginx."""
    return balancer.program("nginx", "nginx-light")


@contextlib.contextmanager
def balancing(folder: Path, instances: Sequence[int]) -> Iterator[str]:
    """Run nginx over instances on these loopback ports for the time of the block; yield its address."""
    port = free_port()
    with _running(folder, port, render(port, instances)):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def serving_file(folder: Path, content: bytes) -> Iterator[str]:
    """Run nginx with one static file, a yardstick of benchmarks; yield the file's address."""
    port = free_port()
    root = folder / "static"
    root.mkdir(parents=True)
    (root / "file.json").write_bytes(content)
    with _running(folder, port, f"server {{ listen 127.0.0.1:{port}; root {root}; keepalive_requests 1000000; }}\n"):
        yield f"http://127.0.0.1:{port}/file.json"


def arguments(folder: Path, configuration: str) -> list[str]:
    """Write a configuration into a folder, and what stands around it; return the arguments that name it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "titan.conf").write_text(configuration)
    user = "user root;\n" if os.geteuid() == 0 else ""  # else its workers could not enter the test's folder
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user))
    return ["-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


@contextlib.contextmanager
def _running(folder: Path, port: int, configuration: str) -> Iterator[None]:
    command = [program(), *arguments(folder, configuration), "-g", "daemon off;"]
    with listening(command, port=port, log=folder / "error.log"):
        yield
