"""A cursor whose events are gone is answered 410, never by a gap: after a trim, a restore, a fail-over."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.documents import shell
from tests.support.events import pages
from tests.support.places import Place
from tests.support.postgres import Postgres, running_server
from tests.support.postgres_programs import run
from tests.support.postgres_store import fresh_database
from tests.support.server import Server, clean_environment, serving
from tests.support.waiting import wait_until
from tests.support.websocket import UPGRADE, telling
from titan.model.identifiers import encode_identifier
from titan.store.migrations import on_postgres
from titan.store.postgres.url import parse

LONG_AGO = "UPDATE {outbox} SET modified_ms = 0"


def titan(settings: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "titan", *arguments],
        env=clean_environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def put(server: Server, document_id: str) -> None:
    path = f"{server.url}/shells/{encode_identifier(document_id)}"
    assert httpx.put(path, json=shell(document_id), timeout=10).status_code in {201, 204}


def cursor_now(server: Server) -> str:
    cursor: str = httpx.get(f"{server.url}/events?wait=0").json()["paging_metadata"]["cursor"]
    return cursor


def assert_gone(server: Server, cursor: str) -> None:
    """The cursor is refused on every transport, and what the refusal says to do works."""
    for path, headers in (("/events", {}), ("/events?wait=0", {}), ("/events/ws", UPGRADE)):
        sep = "&" if "?" in path else "?"
        answer = httpx.get(f"{server.url}{path}{sep}cursor={cursor}", headers=headers)
        assert answer.status_code == 410, (path, answer.text)
        assert "Read the documents anew" in answer.json()["messages"][0]["text"]
    fresh = cursor_now(server)
    with telling(server.url, f"?cursor={fresh}") as told:
        put(server, "urn:after")
        assert told.event()["subject"] == "urn:after"
    assert [event["subject"] for event in pages(server.url, fresh)] == ["urn:after"]


def test_after_a_trim(place: Place, postgres: Postgres):
    with place.serving() as server:
        before = cursor_now(server)
        put(server, "urn:trimmed")
        kept = cursor_now(server)
        if place.database_url:
            postgres.psql(LONG_AGO.format(outbox="titan_outbox"), place.database)
            settings = {"DATABASE_URL": place.database_url}
        else:
            with contextlib.closing(sqlite3.connect(place.folder / "a" / "titan.db", timeout=10)) as db:
                db.execute(LONG_AGO.format(outbox="outbox"))
                db.commit()
            settings = {"TITAN_DATA_DIR": str(place.folder / "a")}
        titan(settings, "tasks", "run", "outbox-trim", "--wait", "30")
        assert list(pages(server.url, kept)) == []  # it has seen all that was trimmed
        assert_gone(server, before)


def test_after_a_restore_of_the_embedded_store(tmp_path: Path):
    settings = {"TITAN_DATA_DIR": str(tmp_path / "data")}
    with serving(tmp_path / "data") as server:
        put(server, "urn:backed-up")
        before = cursor_now(server)
        titan(settings, "db", "backup", str(tmp_path / "backup.db"))
        put(server, "urn:lost")
        lost = cursor_now(server)
    titan(settings, "db", "restore", str(tmp_path / "backup.db"))
    with serving(tmp_path / "data") as server:
        put(server, "urn:other")  # with the very revision of what was lost
        assert_gone(server, lost)
        assert_gone(server, before)


def test_after_a_dump_was_restored_into_a_new_system(postgres: Postgres, tmp_path: Path):
    with fresh_database(postgres) as database:
        with serving(tmp_path / "old", settings={"DATABASE_URL": postgres.url(database)}) as server:
            put(server, "urn:dumped")
            cursor = cursor_now(server)
        dump = run("pg_dump", "-d", postgres.url(database, user="postgres"))
    with running_server() as other:
        url = other.create_database("restored")
        run("psql", "-Xq", "-d", other.url("restored", user="postgres"), typed=dump)
        with serving(tmp_path / "new", settings={"DATABASE_URL": url}) as server:
            assert_gone(server, cursor)
            assert "urn:dumped" in [event["subject"] for event in pages(server.url, "oldest")]


def test_after_a_standby_was_promoted(tmp_path: Path):
    with running_server() as primary, contextlib.ExitStack() as stack:
        on_postgres.upgrade(parse(primary.create_database("events")))
        standby = primary.standby(synchronous=True)
        stack.callback(standby.remove)
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = f"postgresql://titan@{hosts}/events?target_session_attrs=read-write"
        with serving(tmp_path / "data", settings={"DATABASE_URL": url}) as server:
            put(server, "urn:kept")
            with telling(server.url) as told:
                cursor = told.cursor
                primary.kill()
                standby.promote()
                wait_until(lambda: "check=database status=down" in server.logs(), what="a loss that was noticed")
                server.wait_ready()
                last, code = told.end()
            assert (last["reason"], code) == ("gone", 4410)
            assert httpx.get(f"{server.url}/shells/{encode_identifier('urn:kept')}").status_code == 200
            assert_gone(server, cursor)
