"""The http actor: serves the endpoints, and drains when it is asked to stop (architecture 4.2)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from supervisors.kernel import Context
from titan.http.limits import HttpLimits
from titan.http.observe import RequestObserver
from titan.http.server import Endpoint, HttpServer
from titan.http.tls import BadCertificate, TlsCertificate

CERTIFICATE_CHECK_S = 1.0
"""How often the files are looked at: two `stat` calls in a thread."""


@dataclass(frozen=True, slots=True)
class Drain:
    """How long a stop may take: `delay_s` with the listener still open, then `shutdown_s` at most."""

    delay_s: float = 0.0
    shutdown_s: float = 8.0
    is_final: Callable[[], bool] = lambda: True
    """Asked first: does the process end, or is only this part of the tree stopped, to be started again?"""

    @property
    def longest_s(self) -> float:
        """The longest a drain takes; the child's own `shutdown_s` in the tree must not be shorter."""
        return self.delay_s + self.shutdown_s


class HttpActor:
    """Serves the endpoints until it is asked to stop, then drains.

    `run` returns when every connection is closed, at the latest `Drain.longest_s` after `stop_requested`; what is then
    still open is aborted. Cancelled, it aborts every connection at once. A crash, or a stop that is not the process',
    leaves the listening sockets open: the next run goes on with what waits in their backlog. Once the process ends they
    are closed and the actor cannot run again.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], observer: RequestObserver, *, limits: HttpLimits, drain: Drain
    ) -> None:
        self._endpoints = endpoints
        self._observer = observer
        self._limits = limits
        self._drain_times = drain
        self._server: HttpServer | None = None

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return 0 if self._server is None else self._server.connections

    async def run(self, ctx: Context) -> None:
        """Be the actor: from the first accept to the last close."""
        self._server = server = HttpServer(self._endpoints, self._observer, self._limits)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_abort_when_cancelled, server)
            for endpoint in self._endpoints:
                if endpoint.tls is not None:
                    nursery.start_soon(_watch, endpoint.tls, self._observer)
            server.start(nursery)
            ctx.started()
            await ctx.stop_requested.wait()
            await self._drain(server, nursery)
            nursery.cancel_scope.cancel()

    async def _drain(self, server: HttpServer, nursery: trio.Nursery) -> None:
        if self._drain_times.is_final():
            await trio.sleep(self._drain_times.delay_s)
            server.close_listeners(nursery)
        else:
            server.stop_accepting()
        server.start_drain()
        with trio.move_on_after(self._drain_times.shutdown_s):
            await server.wait_closed()


async def _watch(certificate: TlsCertificate, observer: RequestObserver) -> None:
    while True:
        await trio.sleep(CERTIFICATE_CHECK_S)
        try:
            if await trio.to_thread.run_sync(certificate.reload_if_changed):
                observer.certificate_changed(certificate.expires_at)
        except BadCertificate as error:
            observer.certificate_refused(str(error))


async def _abort_when_cancelled(server: HttpServer) -> None:
    # hypercorn sends in a shield: a cancelled connection whose client does not read ends only when its socket closes.
    try:
        await trio.sleep_forever()
    finally:
        server.abort()
