"""A real PgBouncer in transaction mode before a real PostgreSQL; it refuses to run as root too."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.postgres import Postgres
from tests.support.postgres_programs import START_DEADLINE_S, as_postgres, free_port, make_folder, programs

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server_port} user=titan
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {server_connections}
max_client_conn = 500
server_tls_sslmode = disable
server_login_retry = 1
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
{more}
"""


class PgBouncer:
    """One running pooler; databases have the names that they have on the server."""

    def __init__(self, port: int, folder: Path, server: Postgres) -> None:
        self.port = port
        self._folder = folder
        self._server = server

    def url(self, database: str = "postgres", *, query: str = "") -> str:
        """Return a URL of a database behind it."""
        return f"postgresql://titan@127.0.0.1:{self.port}/{database}{'?' + query if query else ''}"

    def log(self) -> str:
        """Return what it logged."""
        return (self._folder / "pgbouncer.log").read_text()

    def server_pids(self, database: str) -> set[str]:
        """Return the server processes that serve a database."""
        found = self._server.psql(f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}'")
        return set(found.split())


@contextlib.contextmanager
def running_pgbouncer(
    server: Postgres, *, server_connections: int = 2, mode: str = "transaction", more: str = ""
) -> Iterator[PgBouncer]:
    """Start a pooler before `server`; `more` are further lines of its configuration."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "no PgBouncer installed; ./dev test installs it on Debian/Ubuntu"
    folder = make_folder()
    port = free_port()
    (folder / "pgbouncer.ini").write_text(
        SETTINGS.format(
            server_port=server.port,
            port=port,
            mode=mode,
            server_connections=server_connections,
            folder=folder,
            more=more,
        )
    )
    process = subprocess.Popen([program, "-q", str(folder / "pgbouncer.ini")], cwd="/", **as_postgres())
    try:
        ends = time.monotonic() + START_DEADLINE_S
        ready = [str(programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, check=False).returncode != 0:
            assert process.poll() is None, "pgbouncer ended"
            assert time.monotonic() < ends, "pgbouncer does not answer"
            time.sleep(0.02)
        yield PgBouncer(port, folder, server)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
