"""However long Redis is away and however many ask for it: one attempt to connect a second, counted on real sockets."""

import trio

from tests.support.redis_programs import free_port
from tests.support.redis_trap import assert_one_attempt_a_second, trap


async def nobody_there(options: str, hosts: int, hangs_up: bool) -> None:  # noqa: FBT001  (what a nursery starts takes no names)
    ports = [free_port() for _ in range(hosts)]
    url = f"redis://{','.join(f'127.0.0.1:{port}' for port in ports)}/0{options}"
    with trap(ports, hangs_up=hangs_up) as trapped:
        await assert_one_attempt_a_second(url, trapped)


async def test_nobody_there():
    """Of each kind two instances: with one the others hang up, with one they never answer."""
    async with trio.open_nursery() as nursery:
        for options, hosts in [("", 1), ("?sentinelMaster=mymaster", 3), ("?cluster=true", 3)]:
            for hangs_up in (True, False):
                nursery.start_soon(nobody_there, options, hosts, hangs_up)
