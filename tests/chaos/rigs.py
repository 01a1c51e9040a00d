"""Installations for faults that need more than one plain server: standbys, names, networks, small disks.

Each is a context manager; what it takes from the machine (namespaces, mounts) is given back at its end. Some need root;
`missing` says what of it is not there.
"""

import contextlib
import functools
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.installation import Installation, installed
from tests.support.postgres import Postgres, make_server, running_server
from tests.support.postgres_programs import make_folder, run
from tests.support.server import PROGRAM

QUICK_SERVER = {"max_connections": "40"}

_numbers = itertools.count(os.getpid() % 16_000)


@contextlib.contextmanager
def plain(
    folder: Path,
    *,
    settings: Mapping[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
    server_settings: Mapping[str, str] | None = None,
) -> Iterator[Installation]:
    """One server, two instances."""
    with (
        running_server(**QUICK_SERVER, **(server_settings or {})) as server,
        installed(server, folder, settings=settings, program=program) as here,
    ):
        yield here


# --- a primary and its standby ---


@dataclass(frozen=True, slots=True)
class Pair:
    """An installation on a primary, and a standby that follows it."""

    installation: Installation
    standby: Postgres


@contextlib.contextmanager
def pair(folder: Path, *, synchronous: bool) -> Iterator[Pair]:
    """Two servers, both named in the URL of two instances."""
    with _primary_and_standby(synchronous=synchronous) as (primary, standby):

        def url(database: str) -> str:
            hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
            return f"postgresql://titan@{hosts}/{database}?target_session_attrs=read-write"

        with installed(primary, folder, url=url) as here:
            yield Pair(here, standby)


@contextlib.contextmanager
def _primary_and_standby(
    *, synchronous: bool, standby_host: str = "127.0.0.1", same_port: bool = False
) -> Iterator[tuple[Postgres, Postgres]]:
    with (
        running_server(**QUICK_SERVER) as primary,
        primary.followed(synchronous=synchronous, host=standby_host, port=primary.port if same_port else 0) as standby,
    ):
        yield primary, standby


# --- a name that moves ---


@dataclass(slots=True)
class Named:
    """An installation that knows its server by a name only, and what the name can be moved to."""

    installation: Installation
    standby: Postgres
    hosts: Path

    def point_to(self, server: Postgres) -> None:
        """Have the name mean this server from now on, for whoever asks anew."""
        self.hosts.write_text(f"127.0.0.1 localhost\n{server.host} {NAME}\n")


NAME = "db.titan.test"
# The C library reads /etc/hosts at every question, so a file of our own in its place, in a mount namespace of the
# instances' own, is a name server whose answer changes from one moment to the next.
_WITH_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


@contextlib.contextmanager
def named(folder: Path) -> Iterator[Named]:
    """Two servers on one port of two addresses; the instances' URL has a name that means the first."""
    with _primary_and_standby(synchronous=True, standby_host="127.0.0.2", same_port=True) as (primary, standby):
        hosts = folder / "hosts"
        program = [*_UNSHARE, "sh", "-c", _WITH_HOSTS, str(hosts), *PROGRAM]
        hosts.write_text(f"127.0.0.1 localhost\n{primary.host} {NAME}\n")

        def url(database: str) -> str:
            return f"postgresql://titan@{NAME}:{primary.port}/{database}"

        with installed(primary, folder, url=url, program=program) as here:
            yield Named(here, standby, hosts)


_UNSHARE = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")


# --- a network that fails ---


@dataclass(frozen=True, slots=True)
class Network:
    """The way from the instances to a server that lives in a network namespace of its own."""

    namespace: str
    device: str
    near: str
    """The address of the instances."""
    far: str
    """The address of the server."""

    def inside(self, *command: str) -> None:
        """Run `ip` on the server's side."""
        _do("ip", "-n", self.namespace, *command)


@dataclass(frozen=True, slots=True)
class Routed:
    """An installation whose server is behind a network."""

    installation: Installation
    network: Network


@contextlib.contextmanager
def routed(folder: Path) -> Iterator[Routed]:
    """One server in a network namespace, two instances outside of it."""
    with _network() as network:
        server = make_server(**QUICK_SERVER)
        server.host = network.far
        become = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        server.prefix = ("ip", "netns", "exec", network.namespace, *become)
        with (server.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {network.near}/32 trust\n")
        try:
            server.start()
            with installed(server, folder) as here:
                yield Routed(here, network)
        finally:
            server.remove()


@contextlib.contextmanager
def _network() -> Iterator[Network]:
    number = next(_numbers)
    name, block = f"titan-{number}", f"10.{200 + number % 50}.{number // 64 % 256}"
    first = number % 64 * 4
    network = Network(name, f"tt{number}", f"{block}.{first + 1}", f"{block}.{first + 2}")
    _do("ip", "netns", "add", name)
    try:
        _do("ip", "link", "add", "name", network.device, "type", "veth", "peer", "name", "far", "netns", name)
        _do("ip", "address", "add", f"{network.near}/30", "dev", network.device)
        _do("ip", "link", "set", network.device, "up")
        network.inside("address", "add", f"{network.far}/30", "dev", "far")
        network.inside("link", "set", "far", "up")
        network.inside("link", "set", "lo", "up")
        yield network
    finally:
        _do("ip", "netns", "delete", name)  # the pair of devices goes with it


# --- disks that are full ---


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system in memory of which a part of the server's files is on."""

    path: Path

    def fill(self) -> None:
        """Leave no room."""
        with (self.path / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))

    def free(self) -> None:
        """Give the room back."""
        (self.path / "filler").unlink()


@contextlib.contextmanager
def _small_disk(mib: int) -> Iterator[SmallDisk]:
    path = make_folder()
    owner = path.stat()
    _do(
        "mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700,uid={owner.st_uid},gid={owner.st_gid}", "titan", str(path)
    )
    try:
        yield SmallDisk(path)
    finally:
        _do("umount", str(path))
        path.rmdir()


@dataclass(frozen=True, slots=True)
class OnSmallDisk:
    """An installation and the disk that can be filled."""

    installation: Installation
    disk: SmallDisk


@contextlib.contextmanager
def small_data(folder: Path) -> Iterator[OnSmallDisk]:
    """A server whose documents are on a small disk; all else of it has room."""
    with _small_disk(32) as disk, running_server(**QUICK_SERVER) as server:
        server.psql(f"CREATE TABLESPACE small LOCATION '{disk.path}'")

        def move(database: str) -> None:
            server.psql(f'ALTER DATABASE "{database}" SET TABLESPACE small')

        with installed(server, folder, prepare=move) as here:
            yield OnSmallDisk(here, disk)


@contextlib.contextmanager
def small_log(folder: Path) -> Iterator[OnSmallDisk]:
    """A server whose write-ahead log is on a small disk, in files of 1 MiB."""
    with _small_disk(24) as disk:
        server = make_server(
            **QUICK_SERVER, max_wal_size="8MB", min_wal_size="2MB", wal_recycle="off", wal_keep_size="0"
        )
        run("pg_resetwal", "--wal-segsize=1", "-D", str(server.data))
        shutil.copytree(server.data / "pg_wal", disk.path / "pg_wal")
        _do("chown", "-R", f"{disk.path.owner()}:", str(disk.path))
        shutil.rmtree(server.data / "pg_wal")
        (server.data / "pg_wal").symlink_to(disk.path / "pg_wal")
        try:
            server.start()
            with installed(server, folder) as here:
                yield OnSmallDisk(here, disk)
        finally:
            server.remove()


# --- what there is ---


def _do(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


@functools.cache
def missing(need: str) -> str:
    """Say why there can be no `namespace`, `network` or `mount` here; empty: there can."""
    if need != "namespace" and os.geteuid() != 0:
        return f"a {need} of our own needs root"
    trials = {
        "namespace": [*_UNSHARE, "mount", "--bind", "/etc/hosts", "/etc/hosts"],
        "network": ["unshare", "--net", "ip", "link", "add", "name", "near", "type", "veth", "peer", "name", "far"],
        "mount": ["unshare", "--mount", "mount", "-t", "tmpfs", "titan", "/mnt"],
    }
    try:
        done = subprocess.run(trials[need], check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    return "" if done.returncode == 0 else f"not allowed here: {done.stderr.strip()}"
