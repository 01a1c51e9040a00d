"""Counting in a cluster and behind Sentinels: each client's key has its place, and a fail-over keeps the count."""

import trio

from tests.security.support import CLIENT, KEY, made
from tests.support.redis_client import opened_redis
from tests.support.redis_cluster import cluster
from tests.support.redis_sentinel import sentinels
from tests.support.waiting import until
from titan.security.rate_limit import KEYS
from titan.telemetry.health import Status

in_thread = trio.to_thread.run_sync


async def test_a_cluster_counts_clients_on_all_its_nodes():
    with cluster() as nodes:
        async with opened_redis(nodes.url()) as redis:
            one = made(redis, 3)
            clients = [f"198.51.100.{n}" for n in range(20)] + [f"2001:db8:0:{n:x}::/64" for n in range(1, 21)]
            for client in clients:
                assert await one.granted(4, client.replace("::/64", "::1")) == 3
            assert one.counted == {("redis", True): 120, ("redis", False): 40}
        kept = [key for node in nodes.masters() for key in node.cli("KEYS", f"{KEYS}*").splitlines()]
        assert sorted(kept) == sorted(KEYS + client for client in clients)
        assert all(node.cli("DBSIZE") != "0" for node in nodes.masters())


async def test_a_fail_over_keeps_the_count_and_costs_no_request():
    with sentinels() as watched:
        async with opened_redis(watched.url()) as redis:
            one = made(redis, 3)
            began = trio.current_time()
            assert await one.granted(4) == 3
            old = watched.master
            replicas = [server for server in watched.servers if server is not old]
            await until(lambda: all(server.cli("EXISTS", KEY) == "1" for server in replicas), what="replication")
            await in_thread(old.kill)
            assert await one.granted(5) == 5  # open: nobody counts
            await in_thread(watched.wait_for_another_master, old)
            await redis.wait(Status.UP, within_s=20)
            verdict = await one.limit.ask(CLIENT)
            assert verdict is not None
            assert verdict.remaining <= (trio.current_time() - began) // 20  # no more than what came back meanwhile
