"""Everything of one port that stays the same from request to request, made once by `make_app`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from titan.api.messages import Request, Response
from titan.api.operation import Operation
from titan.api.routing import Router
from titan.http.body import BodyBudget
from titan.http.limits import HttpLimits
from titan.http.observe import RequestObserver
from titan.http.paths import Mounts
from titan.http.rate import RateLimit

Answer = Callable[[Operation, Request], Awaitable[Response]]
"""Runs one operation; raises for bugs only."""

Feed = Callable[[Request], Awaitable[Response]]
"""Answers a request for events; raises for bugs only."""


@dataclass(frozen=True, slots=True)
class Site:
    """One port's offer."""

    router: Router
    mounts: Mounts
    answer: Answer
    observer: RequestObserver
    limits: HttpLimits
    bodies: BodyBudget
    pages: frozenset[bytes]
    """Paths that are Quart's: health, metrics, documentation."""
    never_limited: frozenset[bytes]
    """Those of them that are for whoever runs the server, and are answered however often they are asked for."""
    rate_limit: RateLimit | None
    """None: clients may ask as often as they like."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    feeds: Mapping[tuple[str, ...], Feed] = field(default_factory=dict)
    """What answers `GET /events` and what is below it, by the path's segments where the API is mounted."""
