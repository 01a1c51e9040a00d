"""`titan import` and `titan export` on PostgreSQL: beside running servers, with few connections, through an outage."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.cli.conftest import EXAMPLE
from tests.cli.test_import_process import many
from tests.support.postgres import Postgres, running_server
from tests.support.server import clean_environment, serving
from tests.support.traffic import traffic
from titan.store.migrations import on_postgres
from titan.store.postgres.url import parse

COUNT = "SELECT count(*) FROM titan_document"


@contextmanager
def importing(url: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """Run `titan import --json` as a process; at the end of the block it has ended, whatever happened."""
    process = subprocess.Popen(
        [sys.executable, "-m", "titan", "import", "--json", *map(str, arguments)],
        env=clean_environment({"DATABASE_URL": url}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(process: "subprocess.Popen[str]", timeout_s: float = 120) -> Any:
    """Wait for its end and return its report."""
    out, err = process.communicate(timeout=timeout_s)
    assert err == ""
    return json.loads(out)


def wait_for(postgres: Postgres, database: str, documents: int) -> None:
    deadline = time.monotonic() + 60
    while int(postgres.psql(COUNT, database)) < documents:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_round_trip_through_the_other_store(titan, database, data_dir, tmp_path, monkeypatch):
    """What PostgreSQL gives back and what the embedded store gives back is the same, byte for byte."""
    assert titan("import", EXAMPLE).code == 0
    assert titan("export", tmp_path / "a.json").code == 0
    again = json.loads(titan("import", "--json", tmp_path / "a.json").out)
    assert again["summary"]["taken"] == 0
    monkeypatch.delenv("DATABASE_URL")
    assert titan("import", tmp_path / "a.json", data_dir=data_dir).code == 0
    assert titan("export", tmp_path / "b.json").code == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_without_a_schema_it_exits_4_and_names_the_command(titan, postgres, empty):
    for command in (("import", EXAMPLE), ("export", "-")):
        ended = titan(*command)
        assert ended.code == 4
        assert ended.err == "Error: the database has no schema yet; run `titan db upgrade`\n"
    assert postgres.psql("SELECT count(*) FROM pg_class WHERE relname LIKE 'titan%'", empty) == "0"


def test_servers_beside_it_serve_what_was_imported(titan, database, tmp_path):
    settings = {"DATABASE_URL": os.environ["DATABASE_URL"]}
    with (
        serving(tmp_path / "a", settings=settings) as server,
        traffic(server.url, clients=4) as sent,
        importing(settings["DATABASE_URL"], many(tmp_path / "many.json", 500)) as process,
    ):
        report = finish(process)
        assert report["summary"]["taken"] == 500
        sent.wait_for(8)
        found = httpx.get(f"{server.url}/submodels/aHR0cHM6Ly9leGFtcGxlLmNvbS9zbS8w")
        assert found.json()["id"] == "https://example.com/sm/0"
    assert sent.lost() == []


def test_where_the_server_has_few_connections_left_no_document_is_lost(tmp_path):
    """Three of the eight that it would take; the 128 writes in flight wait for them as long as it takes."""
    with running_server(max_connections="12", superuser_reserved_connections="3") as server:
        url = server.create_database("few")
        on_postgres.upgrade(parse(url))
        with server.crowd(6), importing(url, many(tmp_path / "many.json", 400)) as process:
            report = finish(process)
        assert report["stopped"] is None
        assert report["summary"]["taken"] == 400
        assert server.psql(COUNT, "few") == "400"


def test_a_server_that_restarts_in_the_middle_loses_nothing(tmp_path):
    with running_server() as server:
        url = server.create_database("restarted")
        on_postgres.upgrade(parse(url))
        with importing(url, many(tmp_path / "many.json", 2000)) as process:
            wait_for(server, "restarted", 200)
            server.kill()
            assert process.poll() is None
            server.start()
            report = finish(process)
        assert report["stopped"] is None
        assert Counter(row["status"] for row in report["documents"]) == {"taken": 2000}
        assert server.psql(COUNT, "restarted") == "2000"
        told = server.psql("SELECT count(*), count(DISTINCT id) FROM titan_outbox", "restarted")
        assert told == "2000|2000"  # what was taken and not known to be was not written twice


def test_a_document_that_somebody_else_holds_is_waited_for(postgres, database, tmp_path):
    path = many(tmp_path / "many.json", 50)
    url = os.environ["DATABASE_URL"]
    with importing(url, path) as process:
        finish(process)
    changed = Path(tmp_path / "changed.json")
    changed.write_text(path.read_text().replace('"text": ""', '"text": "changed"'))
    held = "BEGIN; SELECT n FROM titan_document WHERE id LIKE '%/7' FOR UPDATE"
    with postgres.session(held, database):
        process = subprocess.Popen(
            [sys.executable, "-m", "titan", "import", "--json", "--replace", str(changed)],
            env=clean_environment({"DATABASE_URL": url}),
            stdout=subprocess.PIPE,
            text=True,
        )
        others = "SELECT count(*) FROM titan_document WHERE convert_from(header, 'UTF8') LIKE '%changed%'"
        deadline = time.monotonic() + 30
        while int(postgres.psql(others, database)) < 49:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert process.poll() is None
    report = json.loads(process.communicate(timeout=60)[0])
    assert report["summary"]["changed"] == 50


def test_a_schema_that_goes_away_in_the_middle_ends_it_with_4(postgres, database, tmp_path):
    url = os.environ["DATABASE_URL"]
    with importing(url, many(tmp_path / "many.json", 20_000)) as process:
        wait_for(postgres, database, 100)
        on_postgres.downgrade(parse(url), "-1")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "titan db upgrade" in err
    assert "titan db upgrade" in json.loads(out)["stopped"]
