"""A name that moves to another server is followed, because names are resolved on every connect."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.postgres import make_server, running_server
from tests.support.postgres_store import migrated_database

ROOT = Path(__file__).parents[3]

CLIENT = """
import sys, time
from dataclasses import replace
import trio
from tests.support.postgres_store import QUICK, opened

async def address(session):
    return str((await session.row("SELECT host(inet_server_addr()) AS address"))["address"])

async def main(url, hosts):
    async with opened(url, limits=replace(QUICK, max_age_s=0.5)) as it:
        print(await it.island.run(it.database.use, address), flush=True)
        with open(hosts, "w") as file:
            file.write("127.0.0.2 moving.test\\n")
        with trio.fail_after(10):
            while (found := await it.island.run(it.database.use, address)) != "127.0.0.2":
                await trio.sleep(0.02)
        print(found, flush=True)

trio.run(main, *sys.argv[1:])
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="needs a hosts file of its own: root, Linux"
)
def test_a_name_that_moves_is_followed_within_a_connections_age(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 moving.test\n")
    with ExitStack() as stack:
        one = stack.enter_context(running_server())
        two = make_server()
        stack.callback(two.remove)
        two.host, two.port = "127.0.0.2", one.port
        two.start()
        for server in (one, two):
            migrated_database(server, "titan")
        client = ["sh", "-c", 'mount --bind "$1" /etc/hosts && shift && exec "$@"', "sh", str(hosts)]
        program = [sys.executable, "-c", CLIENT, f"postgresql://titan@moving.test:{one.port}/titan", str(hosts)]
        done = subprocess.run(
            ["unshare", "--mount", *client, *program],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.split() == ["127.0.0.1", "127.0.0.2"], done.stderr
