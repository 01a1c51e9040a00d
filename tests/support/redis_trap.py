"""Ports at which nobody answers, where every attempt to connect is counted; and what may be counted there."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import trio

from tests.support.redis_client import calling, opened_redis
from titan.redis.limits import Limits

CLIENT_NAME = b"titan-aas"
FOR_S = 4.0


class Trap:
    """Ports that take connections, count those of ours and never answer."""

    def __init__(self, ports: list[int], *, hangs_up: bool) -> None:
        self.times_s: list[float] = []
        self._hangs_up = hangs_up
        self._kept: list[socket.socket] = []
        self._sockets = [socket.create_server(("127.0.0.1", port), backlog=1000) for port in ports]
        self._threads = [threading.Thread(target=self._accept, args=(one,), daemon=True) for one in self._sockets]
        for thread in self._threads:
            thread.start()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                accepted, _ = listening.accept()
                came_s = time.monotonic()
                accepted.settimeout(0.5)
                with contextlib.suppress(OSError):
                    if CLIENT_NAME in accepted.recv(1000):  # Redis' own servers and Sentinels try to connect, too
                        self.times_s.append(came_s)
                if self._hangs_up:
                    accepted.close()
                else:
                    self._kept.append(accepted)

    def close(self) -> None:
        for one in [*self._sockets, *self._kept]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def trap(ports: list[int], *, hangs_up: bool) -> Iterator[Trap]:
    made = Trap(ports, hangs_up=hangs_up)
    try:
        yield made
    finally:
        made.close()


async def assert_one_attempt_a_second(url: str, trapped: Trap) -> None:
    """See that attempts go on and are a second apart, whatever callers do, who wait for nothing."""
    async with opened_redis(url, limits=Limits(), ready=False) as it, calling(it.redis, callers=30) as calls:
        await trio.sleep(FOR_S)
        times_s = list(trapped.times_s)
        it.assert_no_exit()
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(times_s)]
    assert FOR_S / 1.6 - 1 <= len(times_s) <= FOR_S + 1
    assert min(gaps_s) > 0.95
    assert len(calls.took_s) > 500
    assert calls.slow(0.2) == 0
    assert calls.answered == 0
