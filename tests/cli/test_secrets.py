"""The password of the database: given in a file it works for every command, and no command ever shows it."""

import logging
import os
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import EXAMPLE, Titan
from tests.support.postgres_programs import free_port
from tests.support.server import Server, serving

MARKER = "m4rk3r"
COMMANDS = [
    ("config", "check"),
    ("config", "show"),
    ("config", "show", "--json"),
    ("db", "current"),
    ("db", "current", "--json"),
    ("db", "check"),
    ("db", "check", "--json"),
    ("db", "upgrade"),
    ("db", "upgrade", "0815"),
    ("db", "downgrade", "base"),
    ("db", "backup", "file"),
    ("db", "restore", "file"),
    ("import", str(EXAMPLE)),
    ("import", "--json", str(EXAMPLE)),
    ("export", "-"),
    ("ha", "check", "--timeout", "1"),
]

WRONG = {
    "refused": "postgresql://titan:{}@127.0.0.1:{port}/titan",
    "several hosts": "postgresql+asyncpg://titan:{}@127.0.0.1:{port},127.0.0.1:{port}/titan?sslpassword={}",
    "unknown name": "postgresql://titan:{}@no-such-host.invalid/titan",
    "no database": "postgresql://titan:{}@127.0.0.1:{port}",
    "no port": "postgresql://titan:{}@127.0.0.1:x/titan",
    "an option that there is not": "postgresql://titan@127.0.0.1:{port}/titan?password={}",
    "a slash in it": "postgresql://titan:a/{}@127.0.0.1:{port}/titan",
    "a number and a slash in it": "postgresql://titan:1/{}@127.0.0.1:{port}/titan",
    "a question mark in it": "postgresql://titan:a?{}@127.0.0.1:{port}/titan",
    "a hash in it": "postgresql://titan:a#{}@127.0.0.1:{port}/titan",
    "an at and a slash in it": "postgresql://titan:a@b/{}@127.0.0.1:{port}/titan",
    "percent": "postgresql://titan:{}%zz@127.0.0.1:{port}/titan",
    "another scheme": "mysql://titan:{}@127.0.0.1/titan",
    "no scheme": "titan:{}@127.0.0.1/titan",
}


@pytest.fixture
def with_password(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file with the URL of a database that is there, with a password in it."""
    file = tmp_path / "url"
    file.write_text(os.environ["DATABASE_URL"].replace("titan@", f"titan:{MARKER}@") + "\n")
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("DATABASE_URL_FILE", str(file))
    return file


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_takes_it_from_a_file_and_none_shows_it(
    titan: Titan, with_password, caplog, monkeypatch, command
):
    monkeypatch.setenv("TITAN_LOG__LEVEL", "debug")
    caplog.set_level(logging.DEBUG)
    ended = titan(*command)
    assert MARKER not in ended.out + ended.err + caplog.text
    assert "is unavailable" not in ended.err  # it reached the database
    if command[:2] == ("config", "show"):
        assert "postgresql://titan:***@127.0.0.1" in ended.out


@pytest.mark.parametrize("url", WRONG.values(), ids=WRONG)
def test_no_error_shows_it(titan: Titan, monkeypatch, caplog, url):
    monkeypatch.setenv("DATABASE_URL", url.replace("{port}", str(free_port())).replace("{}", MARKER))
    monkeypatch.setenv("TITAN_LOG__LEVEL", "debug")
    caplog.set_level(logging.DEBUG)
    is_usable = titan("config", "check").code == 0
    for command in COMMANDS if is_usable else [*COMMANDS, ("serve",)]:
        ended = titan(*command)
        assert MARKER not in ended.out + ended.err + caplog.text
        assert is_usable or ended.code == 2


def test_a_server_shows_it_nowhere(with_password, tmp_path):
    with serving(tmp_path / "a", settings={"DATABASE_URL_FILE": str(with_password)}) as server:
        assert_shown_nowhere(server)
        assert "127.0.0.1" not in httpx.get(f"{server.url}/health/ready").text  # readiness needs no token
    assert MARKER not in server.logs()


def test_a_server_whose_database_is_away_shows_it_nowhere(tmp_path):
    url = f"postgresql://titan:{MARKER}@127.0.0.1:{free_port()}/titan"
    server = Server(tmp_path / "a", settings={"DATABASE_URL": url, "TITAN_LOG__LEVEL": "debug"})
    try:
        deadline = time.monotonic() + 20
        while "Connection refused" not in server.logs():
            assert time.monotonic() < deadline, server.logs()
            time.sleep(0.02)
        assert_shown_nowhere(server)
    finally:
        server.stop()
    assert MARKER not in server.logs()


def assert_shown_nowhere(server: Server) -> None:
    for path in ("/health/ready", "/metrics", "/system/tree", "/shells", "/openapi.json"):
        answer = httpx.get(server.url + path)
        assert MARKER not in answer.text + str(answer.headers)
    for title in ("cmdline", "comm", "status"):
        assert MARKER not in Path(f"/proc/{server.pid}/{title}").read_text()
