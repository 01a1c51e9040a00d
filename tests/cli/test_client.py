"""check-health and status against something that listens, also where it is not our server."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme

from titan.cli.client import local_url
from titan.cli.main import run


class Server:
    """Answers every GET with what the test said, and keeps what was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.wait = 200, b"", threading.Event()
        self.wait.set()
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                outer.wait.wait(10)
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_address[1]

    def says(self, value: object, status: int = 200) -> None:
        self.status, self.body = status, value if isinstance(value, bytes) else json.dumps(value).encode()


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for name in ("TITAN_HTTP__HOST", "TITAN_HTTP__PORT", "TITAN_HTTP__TLS_CERT", "TITAN_HOST", "TITAN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TITAN_PORT", str(made.port))
    yield made
    made.wait.set()
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("what", "status", "code"), [("live", 200, 0), ("live", 503, 1), ("ready", 200, 0), ("ready", 503, 1)]
)
def test_the_exit_code_is_the_health(server, what, status, code, capsys):
    server.says({"status": "so"}, status)
    assert run(["check-health", what]) == code
    assert capsys.readouterr().out == "so\n"
    assert server.asked[0][0] == f"/health/{what}"


def test_what_is_wrong_is_named(server, capsys):
    down = {"status": "down", "since": 1.0, "detail": "disk is full\n\x1b[2J"}
    up = {"status": "up", "since": 1.0, "detail": ""}
    server.says({"status": "unready", "checks": {"database": down, "redis": up}}, 503)
    assert run(["check-health", "ready"]) == 1
    assert capsys.readouterr().out == "unready; database down: disk is full\\n\\x1b[2J\n"


def test_json_is_passed_on(server, capsys):
    server.says({"status": "ready", "checks": {}})
    assert run(["check-health", "ready", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"status": "ready", "checks": {}}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"status": 1, "checks": 3}', b"\xff", b"[" * 100_000])
def test_an_answer_of_somebody_else_is_said_to_be_one(server, body, capsys):
    server.says(body)
    assert run(["check-health", "ready"]) == 0  # a proxy's 200 without our body is still a 200
    assert capsys.readouterr().out == "answered 200, but not like this server\n"


def test_nobody_there(capsys):
    with socket.socket() as taken:  # bound, so that nobody else gets it, and not listening
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert run(["check-health", "live", "--url", url]) == 1
    assert capsys.readouterr().err == f"titan: {url} does not answer: [Errno 111] Connection refused\n"


def test_no_answer_in_time(server, capsys):
    server.wait.clear()
    assert run(["check-health", "live", "--timeout", "0.1"]) == 1
    assert "no answer in time" in capsys.readouterr().err


def test_a_url_with_a_path_in_front_of_a_proxy(server, monkeypatch):
    monkeypatch.setenv("TITAN_TOKEN", "secret\n")
    server.says({"status": "live"})
    assert run(["check-health", "live", "--url", f"http://127.0.0.1:{server.port}/twins/"]) == 0
    path, headers = server.asked[0]
    assert path == "/twins/health/live"
    assert headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "ftp://x", "http://", "http://[", "http://x:port", "http://a..b", "http://x/\u00fc"]
)
def test_what_is_no_url_is_wrong_usage(url, capsys):
    assert run(["check-health", "live", "--url", url]) == 2
    assert "is no http:// or https:// URL" in capsys.readouterr().err


@pytest.mark.parametrize("token", ["s3cret\nanother", "s3cret\u00fc", "s3cret another"])
def test_what_is_no_token_is_wrong_usage_and_not_shown(token, server, monkeypatch, capsys):
    monkeypatch.setenv("TITAN_TOKEN", token)
    assert run(["check-health", "live"]) == 2
    said = capsys.readouterr().err
    assert "TITAN_TOKEN is no token" in said
    assert "s3cret" not in said
    assert server.asked == []


def test_our_own_tls_server_needs_no_name_on_its_certificate_but_another_one_does(server, monkeypatch, capsys):
    certificate = trustme.CA().issue_cert("titan.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    server.says({"status": "live"})
    monkeypatch.setenv("TITAN_HTTP__TLS_CERT", "/some/where")
    assert run(["check-health", "live"]) == 0
    assert run(["check-health", "live", "--url", f"https://127.0.0.1:{server.port}"]) == 1
    assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environ", "admin", "url"),
    [
        ({}, False, "http://127.0.0.1:8080"),
        ({"TITAN_HOST": "0.0.0.0", "TITAN_PORT": "9"}, False, "http://127.0.0.1:9"),
        ({"TITAN_HTTP__HOST": "::", "TITAN_HTTP__PORT": "9"}, False, "http://[::1]:9"),
        ({"TITAN_HOST": "fd00::1"}, False, "http://[fd00::1]:8080"),
        ({"TITAN_PORT": "tcp://10.0.0.1:80"}, False, "http://127.0.0.1:8080"),
        ({"TITAN_HTTP__ADMIN_PORT": "9090", "TITAN_HOST": "10.0.0.1"}, True, "http://127.0.0.1:9090"),
        ({"TITAN_HTTP__ADMIN_PORT": "9090"}, False, "http://127.0.0.1:8080"),
        ({"TITAN_HTTP__ADMIN_PORT": "0"}, True, "http://127.0.0.1:8080"),
        ({"TITAN_HTTP__TLS_CERT": "/c"}, False, "https://127.0.0.1:8080"),
    ],
)
def test_the_server_that_the_environment_describes(environ, admin, url):
    assert local_url(environ, admin=admin) == url


def node(name: str, *children: dict[str, object], **changes: object) -> dict[str, object]:
    return {
        "name": name,
        "state": "running",
        "restarts": 0,
        "last_error": None,
        "since": 0,
        "children": children,
    } | changes


def test_the_tree_is_drawn(server, capsys):
    http = node("http", restarts=2, last_error="ValueError: [red]x\x1b[2J", state="backoff")
    server.says(node("titan", node("stores", node("sqlite_writer")), node("frontend", http)))
    assert run(["status"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert server.asked[0][0] == "/system/tree"
    assert lines[0] == ["actor", "state", "for", "restarts", "last", "error"]
    assert lines[1][:2] == ["titan", "running"]
    assert lines[2][:3] == ["├─", "stores", "running"]
    assert lines[3][:4] == ["│", "└─", "sqlite_writer", "running"]
    assert lines[4][:3] == ["└─", "frontend", "running"]
    assert lines[5][:3] == ["└─", "http", "backoff"]
    assert lines[5][-3:] == ["2", "ValueError:", "[red]x\\x1b[2J"]


def test_the_tree_as_json(server, capsys):
    server.says(node("titan"))
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "titan"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'"x"', b'{"name": "x", "state": 3}', b"[" * 100_000])
def test_what_is_no_tree_is_said_to_be_none(server, body, capsys):
    server.says(body)
    assert run(["status"]) == 1
    assert capsys.readouterr().err == "titan: /system/tree answered 200, but not with a supervision tree\n"


def test_where_the_tree_is_not_shown_the_admin_port_is_named(server, capsys):
    server.says(b"", 404)
    assert run(["status"]) == 1
    assert "TITAN_HTTP__ADMIN_PORT" in capsys.readouterr().err
