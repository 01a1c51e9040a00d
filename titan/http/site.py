"""Everything that stays the same from request to request, made once by `make_app`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from titan.api.messages import Request, Response
from titan.api.operation import Operation
from titan.http.limits import HttpLimits
from titan.http.observe import RequestObserver
from titan.http.routing import Router

Answer = Callable[[Operation, Request], Awaitable[Response]]
"""Runs one operation; never raises for anything a client can cause."""


@dataclass(frozen=True, slots=True)
class Site:
    """One port's offer."""

    router: Router
    answer: Answer
    observer: RequestObserver
    limits: HttpLimits = field(default_factory=HttpLimits)
    pages: frozenset[str] = frozenset()
    """Paths that are Quart's: health, metrics, documentation."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
