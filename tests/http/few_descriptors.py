"""A server whose process has few descriptors; a test runs it: `python -m tests.http.few_descriptors LIMIT`.

Prints its port, then each pause and resumption of accepting; ends when its standard input does.
"""

import resource
import sys

import trio

from tests.http.support import TABLE, Observations, echo, pages
from titan.http import sockets
from titan.http.app import Api, make_app
from titan.http.limits import HttpLimits
from titan.http.server import Endpoint, HttpServer


class Loud(Observations):
    def accept_paused(self, reason: str) -> None:
        print("paused:", reason, flush=True)

    def accept_resumed(self) -> None:
        print("resumed", flush=True)


async def main(limit: int, *, reserve: bool) -> None:
    if not reserve:  # so that accept itself meets the limit
        sockets.RESERVED_DESCRIPTORS = -limit
    seen, limits = Loud(), HttpLimits()
    listening = sockets.listen("127.0.0.1", 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    server = HttpServer(
        [Endpoint(listening, make_app(echo, pages(), seen, api=Api(TABLE), limits=limits))], seen, limits
    )
    async with trio.open_nursery() as nursery:
        server.start(nursery)
        print(listening[0].getsockname()[1], flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        server.abort()
        nursery.cancel_scope.cancel()


trio.run(lambda: main(int(sys.argv[1]), reserve=sys.argv[2] == "reserve"))
