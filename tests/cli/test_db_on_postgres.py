"""`titan db` on PostgreSQL as an operator sees it: what is printed, which exit code, what is in the database after."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from tests.cli.conftest import EXAMPLE, Titan
from tests.support.postgres import Postgres, running_server
from tests.support.postgres_programs import free_port, programs
from tests.support.server import clean_environment, serving
from titan.store.migrations import on_postgres
from titan.store.schema import NEWEST_SCHEMA

OLDER = f"{int(NEWEST_SCHEMA) - 1:04}"
TITAN = [sys.executable, "-m", "titan"]


@pytest.fixture
def filled(titan: Titan, database: str) -> str:
    """The database with the documents of the example."""
    assert titan("import", EXAMPLE).code == 0
    return database


def test_upgrade_from_empty_and_back(titan, postgres: Postgres, empty):
    place = f"postgresql://titan@127.0.0.1:{postgres.port}/{empty}"
    assert titan("db", "current").out.startswith(f"{place}: no schema yet; titan ")
    assert titan("db", "check").code == 4
    assert titan("db", "upgrade").out == f"{place}: schema nothing -> {NEWEST_SCHEMA}\n"
    assert titan("db", "upgrade").out == f"{place}: schema {NEWEST_SCHEMA}, nothing to do\n"
    assert titan("db", "downgrade", "-1").out == f"{place}: schema {NEWEST_SCHEMA} -> {OLDER}\n"
    assert titan("db", "check").code == 4
    assert titan("db", "upgrade", OLDER).out == f"{place}: schema {OLDER}, nothing to do\n"
    assert titan("db", "upgrade").code == 0
    assert titan("db", "check").code == 0


def test_current_as_json_says_what_store_it_is_and_where(titan, postgres, database):
    shown = json.loads(titan("db", "current", "--json").out)
    assert shown["kind"] == "postgresql"
    assert shown["store"] == f"postgresql://titan@127.0.0.1:{postgres.port}/{database}"
    assert (shown["revision"], shown["fit"], len(shown["identity"])) == (NEWEST_SCHEMA, "current", 32)


def test_documents_are_not_deleted_by_the_way(titan, postgres, filled):
    refused = titan("db", "downgrade", "base")
    assert refused.code == 1
    assert "would delete all" in refused.err
    assert titan("db", "downgrade", "base", "--delete-documents").code == 0
    assert json.loads(titan("db", "current", "--json").out)["revision"] is None


def test_an_unknown_revision_is_a_usage_error(titan, database):
    for subcommand in ("upgrade", "downgrade"):
        ended = titan("db", subcommand, "0815")
        assert ended.code == 2
        assert "there is no revision 0815" in ended.err


@pytest.mark.parametrize(("oldest_program", "code"), [("0.1.0", 0), ("99.0", 4)])
def test_a_schema_of_a_later_version_is_left_alone(titan, postgres, database, oldest_program, code):
    """As when a pod of the version before is started anew in the middle of a roll-out, and upgrades first."""
    postgres.psql(f"UPDATE titan_schema SET revision = '0999', oldest_program = '{oldest_program}'", database)
    upgraded = titan("db", "upgrade")
    assert upgraded.code == code
    assert ("needs titan 99.0" in upgraded.err) if code else ("schema 0999, nothing to do" in upgraded.out)
    assert titan("db", "check").code == code


def test_pods_that_upgrade_an_empty_database_at_once_all_succeed(titan, empty):
    processes = [
        subprocess.Popen(
            [*TITAN, "db", "upgrade"],
            env=clean_environment({"DATABASE_URL": os.environ["DATABASE_URL"]}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [(process.communicate(timeout=60), process.returncode) for process in processes]
    assert [code for _, code in said] == [0, 0, 0, 0], said
    assert sum("nothing to do" not in out for (out, _), _ in said) >= 1
    assert titan("db", "check").code == 0


# --- check ---


def test_check_of_a_sound_database_says_what_it_did_not_look_for(titan, filled):
    sound = titan("db", "check")
    assert (sound.code, sound.err) == (0, "")
    assert "all is well" in sound.out
    assert "pg_amcheck" in sound.out
    shown = json.loads(titan("db", "check", "--json").out)
    assert (shown["findings"], shown["servable"]) == ([], True)
    assert "pg_amcheck" in shown["not_checked"]


def test_check_exits_1_for_damage_and_says_what_and_what_to_do(titan, postgres, filled):
    postgres.psql("DELETE FROM titan_document", filled)
    damaged = titan("db", "check")
    assert damaged.code == 1
    assert "an element of a document that does not exist" in damaged.err
    assert "titan db restore FILE" in damaged.err


# --- backup and restore are PostgreSQL's own ---


def commands(text: str) -> list[list[str]]:
    """The commands that a message advises, as a shell would split them."""
    return [shlex.split(line) for line in text.splitlines() if line.startswith("  p")]


def test_backup_and_restore_name_commands_that_work(titan, postgres, filled, tmp_path):
    """Not by `titan`: the operator copies the lines. Each is run here as it is printed."""
    file = tmp_path / "titan backup.dump"
    advice = titan("db", "backup", file)
    assert advice.code == 1
    dump, base = commands(advice.err)
    assert base[0] == "pg_basebackup"
    carry_out(dump)
    exported = titan("export", "-").out
    tag = "SELECT last_value FROM titan_revision"
    before = int(postgres.psql(tag, filled))
    postgres.psql("DELETE FROM titan_document", filled)
    advice = titan("db", "restore", file)
    assert advice.code == 1
    for command in commands(advice.err):
        carry_out(command)
    assert titan("export", "-").out == exported
    assert titan("db", "check").code == 0
    assert int(postgres.psql(tag, filled)) > before + 1_000_000_000


def carry_out(command: list[str]) -> None:
    done = subprocess.run(
        [programs() / command[0], *command[1:]], env={"PATH": os.defpath}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, (command, done.stderr)


def test_the_commands_have_the_urls_tls_options_and_several_hosts(titan, monkeypatch):
    monkeypatch.setenv(
        "DATABASE_URL", "postgresql+asyncpg://titan:s3cret@a,b:7/x%20y?sslmode=require&sslpassword=s3cret"
    )
    address = "postgresql://titan@a:5432,b:7/x%20y?sslmode=require&target_session_attrs=read-write"
    for action in ("backup", "restore"):
        advice = titan("db", action, "file")
        assert f"--dbname={address}" in commands(advice.err)[0]
        assert "s3cret" not in advice.err


# --- what goes wrong ---


COMMANDS = [
    ("db", "current"),
    ("db", "check"),
    ("db", "upgrade"),
    ("db", "downgrade", "-1"),
    ("export", "-"),
    ("import", str(EXAMPLE)),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_that_is_away_is_one_line_with_the_drivers_reason(titan, monkeypatch, command):
    port = free_port()
    monkeypatch.setenv("DATABASE_URL", f"postgresql://titan:hunter2@127.0.0.1:{port}/titan")
    ended = titan(*command)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"Error: the database is unavailable: Connection refused (127.0.0.1:{port})\n"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_that_does_not_exist_is_one_line(titan, monkeypatch, postgres, command):
    monkeypatch.setenv("DATABASE_URL", postgres.url("nowhere"))
    ended = titan(*command)
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert 'database "nowhere" does not exist' in ended.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_wrong_password_is_one_line_without_it(titan, monkeypatch, locked, command):
    monkeypatch.setenv("DATABASE_URL", f"postgresql://titan:hunter2@127.0.0.1:{locked.port}/postgres")
    ended = titan(*command)
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert 'password authentication failed for user "titan"' in ended.err
    assert "hunter2" not in ended.err


def test_a_missing_right_is_one_line(titan, monkeypatch, postgres, empty):
    postgres.psql("CREATE ROLE guest LOGIN; REVOKE CREATE ON SCHEMA public FROM public", empty)
    monkeypatch.setenv("DATABASE_URL", postgres.url(empty, user="guest"))
    ended = titan("db", "upgrade")
    postgres.psql("DROP ROLE guest")
    assert ended.code == 1
    assert ended.err == "Error: the database refuses: permission denied for schema public\n"


def test_a_lock_that_is_never_let_go_is_one_line_that_names_who_holds_it(titan, monkeypatch, postgres, database):
    monkeypatch.setattr(on_postgres, "PAUSE_S", 0.05)
    monkeypatch.setattr(on_postgres, "PATIENCE_S", 2.0)
    with postgres.session("BEGIN; LOCK TABLE titan_idempotency", database):
        pid = postgres.psql("SELECT pid FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL")
        ended = titan("db", "downgrade", "0001")
    assert ended.code == 1
    assert ended.err == (
        f"Error: a table was in use for 2 s by process {pid} (psql); end that, or try again later;"
        " the schema is 0002 now\n"
    )


@pytest.fixture(scope="module")
def locked():
    """A server that asks for passwords."""
    with running_server() as server:
        server.psql("ALTER ROLE titan PASSWORD 'right'")
        (server.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        server.psql("SELECT pg_reload_conf()")
        yield server


def test_a_server_that_must_not_serve_what_is_left_ends_with_4(titan, database, tmp_path):
    with serving(tmp_path / "a", settings={"DATABASE_URL": os.environ["DATABASE_URL"]}) as server:
        assert titan("db", "downgrade", "-1").code == 0
        assert server.wait() == 4
        assert "titan db upgrade" in server.logs()
