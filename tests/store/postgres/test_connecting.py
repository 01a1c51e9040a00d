"""Which server is taken, and what is said of those that are not; TLS and passwords as the URL says."""

import asyncio
import contextlib
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
import uvloop

from tests.support.postgres import Postgres, running_server
from tests.support.postgres_programs import give_to_postgres, make_folder
from tests.support.postgres_store import QUICK
from titan.store.postgres.connector import Connector
from titan.store.postgres.errors import Unreachable
from titan.store.postgres.session import Session
from titan.store.postgres.url import parse

LIMITS = replace(QUICK, connect_s=2.0)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the primary's certificate lies, and that of who signed it."""
    made = make_folder()
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(made / "root.crt"))
    certificate.cert_chain_pems[0].write_to_path(str(made / "server.crt"))
    certificate.private_key_pem.write_to_path(str(made / "server.key"))
    give_to_postgres(made / "server.key")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def primary(folder) -> Iterator[Postgres]:
    """A server with TLS, and a role that needs its password."""
    with running_server(ssl="on", ssl_cert_file=f"{folder}/server.crt", ssl_key_file=f"{folder}/server.key") as server:
        server.psql("CREATE ROLE secretive LOGIN PASSWORD 'p@ss/w:rd'")
        server.psql("CREATE ROLE filed LOGIN PASSWORD 'from a file'")
        access = server.data / "pg_hba.conf"
        access.write_text(f"host all secretive,filed all scram-sha-256\n{access.read_text()}")
        server.psql("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(scope="module")
def standby(primary) -> Iterator[Postgres]:
    made = primary.standby(synchronous=False)
    yield made
    made.remove()


def hosts(*ports: int, query: str = "", user: str = "titan", database: str = "postgres") -> str:
    names = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://{user}@{names}/{database}{query and f'?{query}'}"


def connect(url: str) -> dict[str, object]:
    """Connect, look at the session, close it."""

    async def main() -> dict[str, object]:
        try:
            session = await Connector(parse(url), LIMITS).connect()
        finally:
            await asyncio.sleep(0.05)  # transports close in the loop's next turns
        try:
            row = await session.read_row(
                "SELECT inet_server_port() AS port, current_user::text AS user,"
                " (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS is_encrypted"
            )
            assert row is not None
            return dict(row)
        finally:
            await session.close(1)

    return uvloop.run(main())


def reason(url: str) -> str:
    with pytest.raises(Unreachable) as caught:
        connect(url)
    return caught.value.reason


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word, as behind a firewall or of a frozen server."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_of_several_hosts_the_primary_is_taken_wherever_it_stands(primary, standby, nobody):
    assert connect(hosts(standby.port, primary.port))["port"] == primary.port
    assert connect(hosts(nobody, standby.port, primary.port))["port"] == primary.port
    assert connect(hosts(primary.port, standby.port))["port"] == primary.port


def test_a_silent_host_before_it_costs_less_than_its_time_out(primary, silent):
    begun = time.monotonic()
    assert connect(hosts(silent, primary.port))["port"] == primary.port
    assert LIMITS.stagger_s * 0.9 < time.monotonic() - begun < LIMITS.connect_s


def test_where_none_serves_each_is_named_with_its_reason(standby, nobody, silent):
    said = reason(hosts(nobody, silent, standby.port))
    assert f"Connection refused (127.0.0.1:{nobody})" in said
    assert f"no answer in time (127.0.0.1:{silent})" in said
    assert f"the server is a standby (127.0.0.1:{standby.port})" in said


def test_a_standby_alone_is_refused_unless_any_server_will_do(standby):
    assert "the server is a standby" in reason(hosts(standby.port))
    assert "the server is a standby" in reason(hosts(standby.port, query="target_session_attrs=primary"))
    assert connect(hosts(standby.port, query="target_session_attrs=any"))["port"] == standby.port


def test_a_read_only_database_is_refused_unless_the_url_asks_for_less(primary):
    primary.psql("CREATE DATABASE still")
    primary.psql("ALTER DATABASE still SET default_transaction_read_only = on")
    assert "the server is read-only" in reason(hosts(primary.port, database="still"))
    connect(hosts(primary.port, database="still", query="target_session_attrs=primary"))


def test_the_reasons_are_the_servers_words(primary):
    assert 'database "nowhere" does not exist' in reason(hosts(primary.port, database="nowhere"))
    assert 'role "nobody" does not exist' in reason(hosts(primary.port, user="nobody"))
    assert "password authentication failed" in reason(hosts(primary.port, user="secretive:wrong"))
    assert "the name cannot be resolved" in reason("postgresql://titan@no.such.host.invalid/postgres")


def test_another_encoding_is_refused(primary):
    primary.psql("CREATE DATABASE old ENCODING 'SQL_ASCII' TEMPLATE template0")
    assert "encoding SQL_ASCII, UTF8 is needed" in reason(hosts(primary.port, database="old"))


def test_a_password_of_any_characters(primary):
    url = hosts(primary.port, user="secretive:p%40ss%2Fw%3Ard")
    assert connect(url)["user"] == "secretive"


def test_a_password_from_a_file(primary, tmp_path):
    file = tmp_path / "pgpass"
    file.write_text("*:*:*:filed:from a file\n")
    file.chmod(0o600)
    assert connect(hosts(primary.port, user="filed", query=f"passfile={file}"))["user"] == "filed"


@pytest.mark.parametrize(
    ("mode", "is_encrypted"), [("disable", False), ("allow", False), ("prefer", True), ("require", True)]
)
def test_tls_as_the_mode_says(primary, mode, is_encrypted):
    assert connect(hosts(primary.port, query=f"sslmode={mode}"))["is_encrypted"] is is_encrypted


def test_the_certificate_is_verified_where_the_mode_says_so(primary, folder, tmp_path):
    root = folder / "root.crt"
    local = f"postgresql://titan@localhost:{primary.port}/postgres"
    assert connect(f"{local}?sslmode=verify-full&sslrootcert={root}")["is_encrypted"] is True
    assert connect(hosts(primary.port, query=f"sslmode=verify-ca&sslrootcert={root}"))["is_encrypted"] is True
    assert "IP address mismatch" in reason(hosts(primary.port, query=f"sslmode=verify-full&sslrootcert={root}"))
    other = tmp_path / "other.crt"
    trustme.CA().cert_pem.write_to_path(str(other))
    assert "TLS failed: unable to get local issuer certificate" in reason(
        f"{local}?sslmode=verify-full&sslrootcert={other}"
    )


def test_a_server_without_tls_is_refused_where_tls_is_required(postgres):
    assert "rejected SSL upgrade" in reason(hosts(postgres.port, query="sslmode=require"))
    assert connect(hosts(postgres.port, query="sslmode=prefer"))["is_encrypted"] is False


def test_a_socket_of_the_same_machine():
    folder = make_folder()
    try:
        with running_server(unix_socket_directories=str(folder)) as server:
            assert connect(f"postgresql://titan@{quote(str(folder), safe='')}:{server.port}/postgres")["port"] is None
            other = f"postgresql://titan@{quote(str(folder), safe='')}:{server.port - 1}/postgres"
            assert "No such file or directory" in reason(other)
    finally:
        shutil.rmtree(folder)


def test_the_kernel_watches_the_peer(primary):
    async def main() -> list[int]:
        session = await Connector(parse(hosts(primary.port)), LIMITS).connect()
        peer = session._connection._transport.get_extra_info("socket")
        found = [
            peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        ]
        await session.close(1)
        return found

    assert uvloop.run(main()) == [1, 10_000]


def test_cancelling_leaves_no_connection_behind(primary, silent):
    async def main() -> None:
        connector = Connector(parse(hosts(silent, primary.port)), LIMITS)
        for delay in (0.0, 0.05, 0.19, 0.2, 0.21):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    session: Session = await connector.connect()
                    session.drop()
        await asyncio.sleep(0.05)

    uvloop.run(main())
    ends = time.monotonic() + 5
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'titan'"
    while primary.psql(count) != "0":
        assert time.monotonic() < ends
