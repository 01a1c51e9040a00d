"""nginx as users run it: the file of deploy/nginx with the addresses of the test, as a process of its own."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.server import ROOT, free_port

CONFIGURATION = ROOT / "deploy" / "nginx" / "titan.conf"
STARTS_WITHIN_S = 10.0

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
_SERVERS = re.compile(r"(?:^ *server titan-\d+:8080 ([^;]*);\n)+", re.MULTILINE)


def render(port: int, instances: Sequence[int]) -> str:
    """Return the users' file with this port to listen on and these instances; all else is theirs."""
    text = CONFIGURATION.read_text()
    servers = _SERVERS.search(text)
    assert servers, "deploy/nginx/titan.conf names no instances"
    lines = "".join(f"    server 127.0.0.1:{instance} {servers[1]};\n" for instance in instances)
    text, listening = re.subn(r"listen 80;", f"listen 127.0.0.1:{port};", _SERVERS.sub(lines, text))
    assert listening == 1
    return text


def program() -> str:
    """Return the path of nginx; Debian keeps it outside a user's PATH."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    assert found, "nginx is missing (Debian/Ubuntu: apt-get install nginx-light)"
    return found


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


@contextlib.contextmanager
def _running(folder: Path, port: int, configuration: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "titan.conf").write_text(configuration)
    user = "user root;\n" if os.geteuid() == 0 else ""  # else its workers could not enter the test's folder
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user))
    command = [program(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        _until_listening(port, process, folder / "error.log")
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def _until_listening(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None, f"nginx ended with {process.returncode}: {log.read_text()}"
        assert time.monotonic() < deadline, f"nginx does not listen after {STARTS_WITHIN_S} s"
        time.sleep(0.01)
