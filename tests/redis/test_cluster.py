"""A cluster: commands go where their key is, through slots that move, nodes that die and others that take over."""

from collections.abc import Iterator

import pytest
import trio

from tests.support.redis import RedisServer
from tests.support.redis_client import calling, opened_redis
from tests.support.redis_cluster import Cluster, cluster
from tests.support.redis_trap import trap
from tests.support.waiting import until
from titan.redis.contract import Commands, Script
from titan.redis.limits import Limits
from titan.telemetry.health import Status

in_thread = trio.to_thread.run_sync


@pytest.fixture(scope="module")
def _shared() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture
def nodes(_shared: Cluster) -> Cluster:
    """A cluster that is well, with a replica for each master."""
    for node in _shared.nodes:
        if not node.is_running:
            node.start()
        node.thaw()
    _shared.wait_until_ok()
    _shared.wait_for_replicas()
    return _shared


async def get(commands: Commands, key: str) -> bytes | None:
    got: bytes | None = await commands.execute_command("GET", key)
    return got


async def test_keys_and_scripts_go_to_all_masters(nodes):
    script = Script("return redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)")

    async def put(commands: Commands, key: str) -> object:
        return await commands.run_script(script, key, key)

    keys = [f"titan:test:{number}" for number in range(60)]
    async with opened_redis(nodes.url()) as it:
        assert it.check.result.detail == "Cluster"
        for key in keys:
            assert await it.redis.run(put, key) == b"OK"
            assert await it.redis.run(get, key) == key.encode()
        await until(lambda: it.actor.connected_clients is not None)
    assert {nodes.owner(key).port for key in keys} == {master.port for master in nodes.masters()}


async def test_a_message_is_heard_whoever_it_was_published_at(nodes):
    heard: list[bytes] = []
    async with opened_redis(nodes.url()) as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.redis.listen, "news", heard.append)
        await until(lambda: any(node.cli("PUBSUB", "NUMSUB", "news").endswith("1") for node in nodes.nodes))
        for node in nodes.nodes:
            node.cli("PUBLISH", "news", str(node.port))
        await until(lambda: set(heard) == {str(node.port).encode() for node in nodes.nodes})
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_a_lost_master_costs_until_its_replica_has_taken_over(nodes, fault):
    lost = await in_thread(nodes.owner, "titan:test:0:1")
    async with opened_redis(nodes.url()) as it, calling(it.redis) as calls:
        await until(lambda: calls.answered > 20)
        await in_thread(getattr(lost, fault))
        await it.wait(Status.DEGRADED, within_s=2)
        await it.wait(Status.UP, within_s=2 * 1.0 + 2)  # two node time-outs and 2 s
        before = calls.answered
        await until(lambda: calls.answered > before + 200)
        assert calls.wrong == []
        assert calls.slow(0.45) == 0
        it.assert_no_exit()


async def test_a_slot_that_moves_is_followed_and_nobody_notices(nodes):
    key = "titan:test:0:1"
    source = await in_thread(nodes.owner, key)
    target = next(master for master in nodes.masters() if master is not source)
    slot = source.cli("CLUSTER", "KEYSLOT", key)
    async with opened_redis(nodes.url()) as it, calling(it.redis) as calls:
        await until(lambda: calls.answered > 20)
        source_id, target_id = nodes.id(source), nodes.id(target)
        assert target.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id) == "OK"
        assert source.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id) == "OK"
        before = calls.answered
        await until(lambda: calls.answered > before + 500)  # keys that are not there yet: ASK

        def move() -> None:
            while keys := source.cli("CLUSTER", "GETKEYSINSLOT", slot, "100").split():
                source.cli("MIGRATE", "127.0.0.1", str(target.port), "", "0", "1000", "REPLACE", "KEYS", *keys)

        await in_thread(move)
        assert target.cli("CLUSTER", "SETSLOT", slot, "NODE", target_id) == "OK"
        assert source.cli("CLUSTER", "SETSLOT", slot, "NODE", target_id) == "OK"
        before = calls.answered
        await until(lambda: calls.answered > before + 500)  # MOVED
        assert await it.redis.run(get, key) is not None
        assert (calls.wrong, calls.forgotten) == ([], 0)
        assert all(answered for _, answered in calls.took_s)
        assert nodes.owner(key) is target


def pair_of(nodes: Cluster, key: str) -> list[RedisServer]:
    """Return the master that has a key, and its replicas."""
    master = nodes.owner(key)
    name = nodes.id(master)
    return [master, *(nodes.node(node.port) for node in nodes.known() if node.master == name)]


async def test_a_cluster_that_is_down_is_away_and_comes_back(nodes):
    """A master and its replica are gone: the others refuse everything, by Redis' own default."""
    lost = await in_thread(pair_of, nodes, "titan:test:0:1")
    async with opened_redis(nodes.url()) as it, calling(it.redis, callers=2):
        for node in reversed(lost):
            await in_thread(node.kill)
        await it.wait(Status.DEGRADED, within_s=2)
        await until(lambda: "the cluster is down" in it.check.result.detail)
        for node in lost:
            await in_thread(node.start)
        await it.wait(Status.UP, within_s=10)
        it.assert_no_exit()


async def test_nodes_that_are_there_are_asked_without_connecting_anew(nodes):
    """The others go on saying for a while that the lost master has its slots, then that the cluster is down."""
    lost = await in_thread(pair_of, nodes, "titan:test:0:1")
    for node in reversed(lost):
        await in_thread(node.kill)
    with trap([node.port for node in lost], hangs_up=True) as trapped:
        async with (
            opened_redis(nodes.url(), limits=Limits(), ready=False) as it,
            calling(it.redis, callers=30) as calls,
        ):
            await until(lambda: "the cluster is down" in it.check.result.detail)
            attempts = len(trapped.times_s)
            assert attempts <= 4  # one a second until the others had noticed
            await trio.sleep(2.5)
            assert len(trapped.times_s) == attempts
            assert calls.answered == 0
