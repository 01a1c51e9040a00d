"""The http actor: it serves, and it drains."""

import socket
from dataclasses import dataclass, field

import trio

from supervisors.actors.http import Drain, HttpActor
from tests.http.support import TABLE, Client, Observations, echo, pages
from titan.http.app import Api, make_app
from titan.http.limits import HttpLimits
from titan.http.server import Endpoint
from titan.http.sockets import listen


@dataclass
class FakeContext:
    stop_requested: trio.Event = field(default_factory=trio.Event)
    started_event: trio.Event = field(default_factory=trio.Event)

    def started(self, value: object = None) -> None:
        self.started_event.set()


def make_actor(sockets: tuple[socket.socket, ...], drain: Drain, limits: HttpLimits) -> HttpActor:
    seen = Observations()
    app = make_app(echo, pages(), seen, api=Api(TABLE), limits=limits)
    return HttpActor([Endpoint(sockets, app)], seen, limits=limits, drain=drain)


async def test_a_stop_answers_with_connection_close_and_ends(nursery):
    sockets = listen("127.0.0.1", 0)
    limits = HttpLimits(drain_idle_s=0.1)
    ctx = FakeContext()
    ended = trio.Event()
    began = trio.Event()

    async def run() -> None:
        await make_actor(sockets, Drain(begin=began.set), limits).run(ctx)
        ended.set()

    nursery.start_soon(run)
    await ctx.started_event.wait()
    port = sockets[0].getsockname()[1]
    async with Client(await trio.open_tcp_stream("127.0.0.1", port)) as client:
        assert "connection" not in (await client.ask("GET /things")).headers
        ctx.stop_requested.set()
        await began.wait()
        reply = await client.ask("GET /things")
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await client.is_closed()
    with trio.fail_after(2):
        await ended.wait()
