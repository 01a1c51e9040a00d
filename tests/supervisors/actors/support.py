"""An http actor under a real supervisor, on real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from supervisors.actors.http import Drain, HttpActor
from supervisors.kernel import Backoff, Child, Supervisor, Tree, open_tree
from tests.http.support import TABLE, Answer, Client, Observations, close_all, echo
from titan.http.app import Api, Pages, Probes, make_app
from titan.http.limits import HttpLimits
from titan.http.server import Endpoint
from titan.http.sockets import listen
from titan.http.tls import TlsCertificate
from titan.telemetry.health import Readiness

PATH = "root/http"


class Instance:
    """What tests see of it."""

    def __init__(self, port: int, tree: Tree, actor: HttpActor, seen: Observations) -> None:
        self.port = port
        self.tree = tree
        self.actor = actor
        self.seen = seen
        self.clients: list[Client] = []
        self.stop_took_s = -1.0

    async def connect(self) -> Client:
        """Return a new connection, which the block's end closes if the test does not."""
        self.clients.append(Client(await trio.open_tcp_stream("127.0.0.1", self.port)))
        return self.clients[-1]

    async def stop(self) -> None:
        """Stop the tree and measure how long it takes."""
        began = trio.current_time()
        await self.tree.stop()
        self.stop_took_s = trio.current_time() - began


@dataclass
class Drained:
    """The process-wide fact that readiness reads; true from the moment that the actor is asked whether it is final."""

    draining: bool = False

    def is_final(self) -> bool:
        self.draining = True
        return True


@asynccontextmanager
async def instance(
    answer: Answer = echo,
    *,
    delay_s: float = 0,
    shutdown_s: float = 2,
    limits: HttpLimits | None = None,
    tls: TlsCertificate | None = None,
) -> AsyncIterator[Instance]:
    """Run an http actor until the block ends."""
    limits = limits or HttpLimits(drain_idle_s=0.2)
    seen = Observations()
    fact = Drained()
    probes = Probes(lambda: True, lambda: Readiness("unready" if fact.draining else "ready", {}))
    app = make_app(answer, Pages(probes), seen, api=Api(TABLE), limits=limits)
    sockets = listen("127.0.0.1", 0)
    drain = Drain(delay_s, shutdown_s, fact.is_final)
    actor = HttpActor([Endpoint(sockets, app, tls)], seen, limits=limits, drain=drain)
    child = Child(
        name="http",
        run=actor.run,
        stop="drain",
        shutdown_s=drain.longest_s + 1,
        backoff=Backoff(base_s=0.01, cap_s=0.02),
    )
    made: Instance | None = None
    try:
        async with open_tree(Supervisor(name="root", children=(child,))) as tree:
            made = Instance(sockets[0].getsockname()[1], tree, actor, seen)
            yield made
    finally:
        close_all(sockets, made.clients if made else ())
