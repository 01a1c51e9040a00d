"""One instance of the server: every part made once from the settings, before anything of it runs.

Parts outlive the actors that work for them: a store whose writer restarts is the same store, listening sockets survive
a restart of the http actor, a check keeps what was last known.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio

from supervisors.actors.events import EventsActor
from supervisors.actors.http import Drain, HttpActor
from supervisors.actors.telemetry import TelemetryActor, actor_states, check_log
from supervisors.backends import Actor, Backend, Postgres
from supervisors.kernel import Snapshot, Tree
from supervisors.leadership import Role, Stand, make_roles
from supervisors.tasks import Tasks
from titan.api.dispatch import answer
from titan.api.docs_page import docs_page
from titan.api.openapi import openapi_page
from titan.api.operations import OPERATIONS
from titan.api.services import PageSizes, Services
from titan.coordination.timings import Timings
from titan.events.contents import Contents
from titan.events.described import described
from titan.events.endpoint import events, schema_page
from titan.events.hub import Hub
from titan.events.stream import Streams
from titan.events.websocket import events_socket
from titan.http.app import Api, Pages, Probes, make_app
from titan.http.limits import HttpLimits
from titan.http.rate import RateLimit
from titan.http.server import Endpoint
from titan.http.site import Feed
from titan.http.sockets import listen
from titan.http.tls import TlsCertificate
from titan.security.quota import Quota
from titan.security.rate_limit import LocalRateLimit, SharedRateLimit
from titan.settings import OnRedisLoss, Settings, Verification, is_loopback
from titan.telemetry.event_metrics import watch_events
from titan.telemetry.health import Check, Readiness, Status, readiness
from titan.telemetry.heartbeat import Heartbeat
from titan.telemetry.log import Log
from titan.telemetry.metrics import Metrics
from titan.telemetry.requests import RequestTelemetry
from titan.telemetry.sdnotify import Notifier

ADMIN_HOST = "127.0.0.1"
HTTP_SHUTDOWN_S = 8.0
"""How long requests in flight may take at a drain, before their connections are cut."""


@dataclass(slots=True)
class State:
    """What changes while the instance runs and more than one part reads."""

    drain: trio.Event = field(default_factory=trio.Event)
    """Set once the process begins to stop."""
    tree: Tree | None = None

    @property
    def draining(self) -> bool:
        """True once the process begins to stop."""
        return self.drain.is_set()


@dataclass(frozen=True, slots=True)
class Base:
    """What every part of the process tells its news to, there before any part."""

    log: Log
    notifier: Notifier
    metrics: Metrics
    state: State

    def check(self, name: str) -> Check:
        """Make a check whose changes are logged and told to systemd."""
        return Check(name, on_change=check_log(self.log, self.notifier, lambda: self.state.draining))


@dataclass(frozen=True, slots=True)
class Sockets:
    """What the process listens on."""

    main: tuple[socket.socket, ...]
    admin: tuple[socket.socket, ...] = ()

    @property
    def port(self) -> int:
        """The port that was bound, also where any free one was asked for."""
        port: int = self.main[0].getsockname()[1]
        return port


@contextmanager
def listening(settings: Settings) -> Iterator[Sockets]:
    """Bind every port for the time of the block. Raises `titan.http.sockets.BindFailed`."""
    http = settings.http
    main = listen(http.host, http.port)
    admin: tuple[socket.socket, ...] = ()
    try:
        admin = listen(ADMIN_HOST, http.admin_port) if http.admin_port else ()
        yield Sockets(main, admin)
    finally:
        for sock in (*main, *admin):
            sock.close()


@dataclass(frozen=True, slots=True)
class Instance:
    """The parts of one server process and the actors that work on them."""

    settings: Settings
    backend: Backend
    http: HttpActor
    events: EventsActor
    telemetry: TelemetryActor
    roles: tuple[Role, ...]
    task_board: Actor


def make_instance(
    settings: Settings, backend: Backend, sockets: Sockets, base: Base, checks: Mapping[str, Check]
) -> Instance:
    """Wire the parts of an instance; nothing runs yet. Raises `titan.http.tls.BadCertificate`."""
    log, metrics, state = base.log, base.metrics, base.state
    heartbeat = Heartbeat()
    metrics.watch_dependencies(lambda: {name: check.result for name, check in checks.items()})
    metrics.watch_actors(lambda: actor_states(state.tree.snapshot()) if state.tree else ())
    metrics.watch_loop(lambda: heartbeat.lag_s)
    observer = RequestTelemetry(log, metrics)
    services = Services(
        backend.store,
        lenient=settings.model.verification is Verification.LENIENT,
        budget_s=settings.database.request_budget_s,
        max_depth=settings.http.max_json_depth,
        max_file_bytes=settings.http.max_file_bytes,
        page_sizes=page_sizes(settings),
    )
    streams = _streams(settings, backend, metrics)
    limits = http_limits(settings)
    probes = Probes(live=lambda: heartbeat.is_fresh() and backend.is_alive(), ready=partial(_readiness, checks, state))
    app = partial(
        make_app,
        partial(answer, services),
        observer=observer,
        limits=limits,
        trusted_proxies=settings.http.trusted_networks,
    )
    certificate = _certificate(settings)
    if certificate is not None:
        metrics.watch_certificate(lambda: certificate.expires_at)
    endpoints = [
        Endpoint(
            sockets.main,
            app(
                _main_pages(settings, probes, state, metrics),
                api=Api(OPERATIONS, settings.http.base_path, _feeds(settings, streams)),
                rate_limit=_rate_limit(settings, backend, base),
            ),
            certificate,
        )
    ]
    if sockets.admin:
        endpoints.append(Endpoint(sockets.admin, app(_admin_pages(probes, state, metrics), api=Api())))
    tasks = Tasks(settings, backend.store, log, metrics)
    roles = _roles(settings, backend, base, checks["database"], tasks)
    metrics.watch_leadership(lambda: {role.name: (role.standing.leads, role.standing.epoch) for role in roles})
    return Instance(
        settings,
        backend,
        HttpActor(endpoints, observer, limits=limits, drain=http_drain(settings, state)),
        EventsActor(streams.hub.run, state.drain),
        TelemetryActor(heartbeat, base.notifier),
        roles,
        tasks.board,
    )


def instance_id(settings: Settings) -> str:
    """Return the name of this instance in logs and leases."""
    return settings.process.instance_id or socket.gethostname()


def _roles(settings: Settings, backend: Backend, base: Base, database: Check, tasks: Tasks) -> tuple[Role, ...]:
    def unfit_because() -> str | None:
        """Who cannot reach the store cannot do the work, and another one might."""
        return database.result.detail if database.result.status is Status.DOWN else None

    timings = Timings(settings.leadership.ttl_s, settings.leadership.renew_s)
    stand = Stand(backend.election, backend.store, timings, instance_id(settings), unfit_because)
    return make_roles(stand, tasks, base.log)


def _streams(settings: Settings, backend: Backend, metrics: Metrics) -> Streams:
    hub = Hub(Contents(backend.store, settings.events.max_data_bytes))
    backend.change_feed.on_changes = hub.tell
    streams = Streams(backend.store, hub, max_clients=settings.events.max_clients)
    watch_events(metrics.registry, lambda: streams.clients, lambda: streams.sent, lambda: streams.dropped)
    return streams


def _feeds(settings: Settings, streams: Streams) -> dict[tuple[str, ...], Feed]:
    return {
        ("events",): partial(events, streams, page_sizes(settings)),
        ("events", "ws"): partial(events_socket, streams, settings.events.origins),
    }


def http_limits(settings: Settings) -> HttpLimits:
    """Return the limits of `[http]`."""
    http = settings.http
    return HttpLimits(
        max_body_bytes=http.max_body_bytes,
        max_file_bytes=http.max_file_bytes,
        max_head_bytes=http.max_head_bytes,
        head_timeout_s=http.head_timeout_s,
        body_timeout_s=http.body_timeout_s,
        body_min_bytes_per_s=http.body_min_bytes_per_s,
        keep_alive_s=http.keep_alive_s,
        write_timeout_s=http.write_timeout_s,
        max_connections=http.max_connections,
    )


def page_sizes(settings: Settings) -> PageSizes:
    """Return the sizes of pages of `[api]`."""
    return PageSizes(settings.api.page_size, settings.api.max_page_size)


def http_drain(settings: Settings, state: State) -> Drain:
    """Return how the http actor drains: its listeners are closed only where the process ends."""
    return Drain(delay_s=settings.http.drain_delay_s, shutdown_s=HTTP_SHUTDOWN_S, is_final=lambda: state.draining)


def snapshot_json(node: Snapshot) -> dict[str, Any]:
    """Return a node of the tree, and all below it, as `/system/tree` shows it."""
    return {
        "name": node.name,
        "path": node.path,
        "why": node.why,
        "state": node.state.value,
        "restart": node.restart.value,
        "strategy": node.strategy.value if node.strategy else None,
        "restarts": node.restarts,
        "last_error": node.last_error,
        "since": node.since_wall,
        "children": [snapshot_json(child) for child in node.children],
    }


def _rate_limit(settings: Settings, backend: Backend, base: Base) -> RateLimit | None:
    security = settings.security
    if not security.requests_per_minute:
        return None
    quota, tell = Quota(security.requests_per_minute), base.metrics.watch_rate_limit()
    local = LocalRateLimit(quota, tell)
    redis = backend.redis if isinstance(backend, Postgres) else None
    if redis is None:
        return local
    otherwise = local if security.on_redis_loss is OnRedisLoss.LOCAL else None
    on_refused = partial(_redis_refused, base.log, security.on_redis_loss)
    return SharedRateLimit(quota, redis, tell, otherwise=otherwise, on_refused=on_refused)


def _redis_refused(log: Log, instead: OnRedisLoss, reason: str) -> None:
    log.warning("redis refuses to count requests", reason=reason, on_redis_loss=instead.value)


def _certificate(settings: Settings) -> TlsCertificate | None:
    http = settings.http
    if http.tls_cert is None or http.tls_key is None:
        return None
    return TlsCertificate(http.tls_cert, http.tls_key)


def _readiness(checks: Mapping[str, Check], state: State) -> Readiness:
    return readiness({name: check.result for name, check in checks.items()}, draining=state.draining)


def _tree(state: State) -> Mapping[str, Any]:
    return snapshot_json(state.tree.snapshot()) if state.tree else {}


def _main_pages(settings: Settings, probes: Probes, state: State, metrics: Metrics) -> Pages:
    separate = bool(settings.http.admin_port)
    more = [described(page_sizes(settings))]
    return Pages(
        probes,
        tree=partial(_tree, state) if is_loopback(settings.http.host) and not separate else None,
        metrics=None if separate else metrics.render,
        openapi=partial(openapi_page, OPERATIONS, settings.http.base_path, page_sizes(settings), more=more),
        docs=partial(docs_page, OPERATIONS, settings.http.base_path, more=more),
        event_schema=schema_page,
    )


def _admin_pages(probes: Probes, state: State, metrics: Metrics) -> Pages:
    return Pages(probes, tree=partial(_tree, state), metrics=metrics.render)
