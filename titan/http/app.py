"""The application that hypercorn calls: a Quart app whose requests go to the operation table first.

Quart serves the pages: health, metrics, the supervision tree, the API's description for people and for programs.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

import orjson
from quart import Response as QuartResponse
from quart import request
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from titan.api.messages import Response
from titan.api.operation import Operation
from titan.api.results import problem
from titan.api.routing import Router
from titan.http.body import BodyBudget, Receive
from titan.http.exchange import Exchange, Send
from titan.http.limits import HttpLimits
from titan.http.observe import RequestObserver
from titan.http.paths import Mounts
from titan.http.rate import RateLimit
from titan.http.site import Answer, Feed, Site

PREFIXES = ("", "/api/v3.1", "/api/v3")
"""Clients use either; all are the same API."""

RETRY_AFTER_S = 1

NEVER_LIMITED = frozenset({b"/health/live", b"/health/ready", b"/metrics", b"/system/tree"})
"""Pages that are most needed while somebody floods the server; they are made of what is in memory."""


class Readiness(Protocol):
    """What this instance can serve now."""

    @property
    def can_serve(self) -> bool:
        """True where a balancer may send requests here."""

    def as_jsonable(self) -> Mapping[str, Any]:
        """Give the body of `/health/ready`."""


@dataclass(frozen=True, slots=True)
class Probes:
    """What the health pages say; asked in each request, so they read state and never wait."""

    live: Callable[[], bool]
    ready: Callable[[], Readiness]


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of one port; what is None is not there (404)."""

    probes: Probes
    tree: Callable[[], Mapping[str, Any]] | None = None
    """The supervision tree; only on ports that are bound to loopback."""
    metrics: Callable[[str], tuple[bytes, str]] | None = None
    """From an `Accept` header to the exposition and its media type."""
    openapi: Callable[[], Response] | None = None
    docs: Callable[[], Response] | None = None
    event_schema: Callable[[], Response] | None = None


@dataclass(frozen=True, slots=True)
class Api:
    """The operations of one port; the admin port has none."""

    table: Sequence[Operation] = ()
    base_path: str = ""
    feeds: Mapping[tuple[str, ...], Feed] = field(default_factory=dict)
    """What answers `GET /events` and what is below it."""


def make_app(
    answer: Answer,
    pages: Pages,
    observer: RequestObserver,
    *,
    api: Api,
    limits: HttpLimits,
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = (),
    rate_limit: RateLimit | None = None,
) -> QuartTrio:
    """Make one port's application; it needs no lifespan events."""
    app = QuartTrio("titan", static_folder=None)
    app.config["PROPAGATE_EXCEPTIONS"] = True  # to the exchange, which reports them and answers 500
    app.register_error_handler(HTTPException, _http_error)
    paths = _add_pages(app, pages, api.base_path)
    site = Site(
        router=Router(api.table),
        mounts=Mounts([api.base_path + prefix for prefix in PREFIXES]),
        answer=answer,
        observer=observer,
        limits=limits,
        bodies=BodyBudget(limits.max_unfinished_bytes),
        pages=frozenset(path.encode("ascii") for path in paths),
        never_limited=NEVER_LIMITED,
        rate_limit=rate_limit,
        trusted_proxies=trusted_proxies,
        feeds=api.feeds,
    )
    app.asgi_http_class = partial(_exchange, site)  # type: ignore[assignment]  # Quart's own seam; it calls what is here
    return app


def _http_error(error: HTTPException) -> QuartResponse:
    answer = problem(error.code or 500, error.name)
    assert isinstance(answer.body, bytes)
    response = QuartResponse(answer.body, answer.status, content_type=answer.media_type)
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response


def _exchange(site: Site, app: QuartTrio, scope: Mapping[str, Any]) -> Exchange:
    return Exchange(site, partial(_page, app), scope)


async def _page(app: QuartTrio, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    await TrioASGIHTTPConnection(app, scope)(receive, send)  # type: ignore[arg-type]  # ASGI messages are mappings here


def _add_pages(app: QuartTrio, pages: Pages, base_path: str) -> list[str]:
    views: dict[str, Callable[[], QuartResponse]] = {
        "/health/live": partial(_live, pages.probes),
        "/health/ready": partial(_ready, pages.probes),
    }
    if pages.metrics is not None:
        views["/metrics"] = partial(_metrics, pages.metrics)
    if pages.tree is not None:
        views["/system/tree"] = partial(_tree, pages.tree)
    if pages.openapi is not None:
        views[base_path + "/openapi.json"] = partial(_file, pages.openapi)
    if pages.docs is not None:
        views[base_path + "/docs"] = partial(_file, pages.docs)
    if pages.event_schema is not None:
        views[base_path + "/events/schema.json"] = partial(_file, pages.event_schema)
    for path, view in views.items():
        app.add_url_rule(path, endpoint=path, view_func=_awaitable(view), methods=["GET"])
    return list(views)


def _awaitable(view: Callable[[], QuartResponse]) -> Callable[[], Awaitable[QuartResponse]]:
    async def call() -> QuartResponse:  # a plain function would be run in a thread
        return view()

    return call


def _json(status: int, value: object) -> QuartResponse:
    answer = QuartResponse(orjson.dumps(value), status, content_type="application/json")
    answer.headers["Cache-Control"] = "no-store"
    if status == 503:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


def _live(probes: Probes) -> QuartResponse:
    alive = probes.live()
    return _json(200 if alive else 503, {"status": "live" if alive else "dead"})


def _ready(probes: Probes) -> QuartResponse:
    readiness = probes.ready()
    return _json(200 if readiness.can_serve else 503, readiness.as_jsonable())


def _metrics(metrics: Callable[[str], tuple[bytes, str]]) -> QuartResponse:
    body, media_type = metrics(request.headers.get("Accept", ""))
    return QuartResponse(body, content_type=media_type)


def _tree(tree: Callable[[], Mapping[str, Any]]) -> QuartResponse:
    return _json(200, tree())


def _file(content: Callable[[], Response]) -> QuartResponse:
    answer = content()
    assert isinstance(answer.body, bytes)
    return QuartResponse(answer.body, answer.status, dict(answer.headers), content_type=answer.media_type)
