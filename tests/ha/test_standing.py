"""What real servers say of themselves: PostgreSQL with a standby and without, Redis alone, watched and as a cluster."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.pgbouncer import running_pgbouncer
from tests.support.postgres import running_server
from tests.support.postgres_programs import as_postgres, make_folder, programs
from tests.support.redis import running_redis
from tests.support.redis_cluster import cluster
from tests.support.redis_sentinel import sentinels
from tests.support.waiting import wait_until
from titan.redis.contract import Unreachable
from titan.redis.standing import Clustered, Single, Watched
from titan.redis.standing import standing as redis_standing
from titan.redis.url import parse as parse_redis
from titan.store.contract import StoreUnavailable
from titan.store.postgres.standing import Standing, standing
from titan.store.postgres.url import named, parse


@contextlib.contextmanager
def running(program: str, *words: str) -> Iterator[None]:
    """Run one of PostgreSQL's programs for the time of the block."""
    process = subprocess.Popen([programs() / program, *words], cwd="/", stdout=subprocess.DEVNULL, **as_postgres())
    try:
        yield
    finally:
        process.kill()
        process.wait()


def of_database(url: str) -> Standing:
    return standing(parse(url), within_s=10)


def of_redis(url: str) -> Single | Watched | Clustered:
    return redis_standing(parse_redis(url), tls=None, within_s=10)


def test_a_primary_and_its_standby_as_they_come_and_go():
    with running_server(max_connections="40", superuser_reserved_connections="5") as server:
        found = of_database(server.url())
        assert (found.max_connections, found.reserved_connections, found.standbys) == (40, 5, ())
        standby = server.standby()
        try:
            [seen] = of_database(server.url(user="postgres")).standbys
            assert (seen.state, seen.sync_state) == ("streaming", "sync")
            assert seen.name is not None
            assert seen.name.startswith("standby_")
            assert seen.behind_bytes is not None
            [hidden] = of_database(server.url()).standbys  # titan is no member of pg_monitor
            assert (hidden.state, hidden.sync_state, hidden.behind_bytes) == (None, None, None)
            server.psql("GRANT pg_monitor TO titan")
            assert of_database(server.url()).standbys[0].state == "streaming"
            standby.kill()
            wait_until(lambda: of_database(server.url()).standbys == ())
        finally:
            standby.remove()
        server.freeze()
        with pytest.raises(StoreUnavailable, match=r"within 0\.5 s"):
            standing(parse(server.url()), within_s=0.5)
        server.thaw()


def test_an_archive_of_the_log_and_a_subscriber_are_no_standbys(tmp_path_factory):
    with running_server(wal_level="logical") as server, contextlib.ExitStack() as stack:
        server.psql("GRANT pg_monitor TO titan")
        address = ["-h", server.host, "-p", str(server.port), "-U", "postgres"]
        folder = make_folder()
        stack.callback(shutil.rmtree, folder)
        stack.enter_context(running("pg_receivewal", *address, "-D", str(folder)))
        wait_until(lambda: any(one.state == "streaming" for one in of_database(server.url()).standbys))
        [archive] = of_database(server.url()).standbys
        assert archive.behind_bytes is None
        slot = ["--slot", "s", "-d", "postgres", "-f", "-"]
        server.psql("CREATE PUBLICATION p FOR ALL TABLES")
        server.psql("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
        options = ["-o", "proto_version=1", "-o", "publication_names=p"]
        stack.enter_context(running("pg_recvlogical", *address, *slot, "--start", *options))
        senders = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        wait_until(lambda: server.psql(senders) == "2")
        assert of_database(server.url()).standbys == (archive,)


def test_through_a_pooler_nobody_tells_instances_apart(postgres):
    with running_pgbouncer(postgres) as pooler:
        assert of_database(pooler.url("postgres")).is_pooled


def test_instances_are_told_by_their_sessions(postgres):
    url = parse(postgres.url() + "?application_name=told")
    assert named(url, "titan-1").application_name == "told/titan-1"
    other = named(url, "x" * 70 + "-titan-2").application_name
    assert len(other) == 63
    assert other.endswith("x-titan-2")
    sql = f"SET application_name = '{other}'"
    with postgres.session("SET application_name = 'told/titan-1'", user="titan"), postgres.session(sql, user="titan"):
        found = standing(url, within_s=10).instances
    assert found == ("titan-1", other.removeprefix("told/"))


def test_one_redis():
    with running_redis() as server:
        assert of_redis(server.url()) == Single(0)
        with running_redis(replicaof=f"127.0.0.1 {server.port}"):
            wait_until(lambda: of_redis(server.url()) == Single(1))
        url = server.url()
    with pytest.raises(Unreachable, match="Connection refused"):
        of_redis(url)


def test_sentinels_and_what_they_lack():
    with sentinels() as watched:
        well = Watched(answered=3, asked=3, sentinels=3, quorum=2, replicas=2, trouble=None)
        wait_until(lambda: of_redis(watched.url()) == well, what="what every Sentinel has heard of by then")
        watched.servers[1].kill()
        wait_until(lambda: getattr(of_redis(watched.url()), "replicas", None) == 1)
        watched.sentinels[0].kill()
        watched.sentinels[1].kill()
        wait_until(lambda: getattr(of_redis(watched.url()), "trouble", None) is not None)
        found = of_redis(watched.url())
        assert isinstance(found, Watched)
        assert found.answered == 1
        assert found.trouble is not None
        assert found.trouble.startswith("NOQUORUM")
        with pytest.raises(Unreachable, match="No such master"):
            of_redis(watched.url().replace("mymaster", "other"))


def test_a_cluster_and_a_master_without_its_replica():
    with cluster() as made:
        wait_until(lambda: of_redis(made.url()) == Clustered("ok", 3, ()), what="what every node has heard of by then")
        replica = next(node for node in made.nodes if node.info("role") == "slave")
        master = replica.info("master_port")
        replica.kill()
        wait_until(lambda: of_redis(made.url()) == Clustered("ok", 3, (f"127.0.0.1:{master}",)))


def test_a_server_that_is_no_sentinel_is_called_so():
    with running_redis() as server:
        with pytest.raises(Unreachable, match="refused: unknown command"):
            of_redis(f"redis://127.0.0.1:{server.port}/0?sentinelMaster=mymaster")
        with pytest.raises(Unreachable, match="cluster support disabled"):
            of_redis(f"redis://127.0.0.1:{server.port}/0?cluster=true")
