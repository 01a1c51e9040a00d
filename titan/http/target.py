"""What a request is for, by its method and path alone."""

from dataclasses import dataclass

from titan.api.messages import Response
from titan.api.results import problem
from titan.api.routing import Match, method_not_allowed, not_found
from titan.http.paths import BadPath, origin_form, path_segments
from titan.http.site import Feed, Site

UNKNOWN = "unknown"
"""What is counted for requests that are for nothing there is."""

Found = tuple[Match, str] | Feed | str | Response
"""An operation and where it is mounted, what answers for events, a page's name, or the answer: a refusal mostly."""


@dataclass(frozen=True, slots=True)
class Target:
    """What was found."""

    found: Found
    operation: str = UNKNOWN
    """Its name in logs and metrics."""
    is_never_limited: bool = False
    """True for what is answered however often it is asked for."""


def find(site: Site, method: str, raw_path: bytes, request_id: str) -> Target:
    """Find what answers."""
    segments = path_segments(raw_path)
    if isinstance(segments, BadPath):
        if method == "OPTIONS" and raw_path == b"*":  # the server as a whole (RFC 9110, 9.3.7)
            return Target(_options("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"))
        return Target(problem(400, segments.reason, request_id=request_id))
    path = origin_form(raw_path)
    if path in site.pages:
        name = path.decode("ascii").strip("/").replace("/", "_").replace(".", "_")
        return Target(name, name, is_never_limited=path in site.never_limited)
    split = site.mounts.split(segments)
    if split is None:
        return Target(not_found(request_id))
    base, segments = split
    if (feed := site.feeds.get(tuple(segments))) is not None:
        name = "_".join(segments)
        if method in ("GET", "HEAD"):
            return Target(feed, name)
        return Target(_unless_options(method, method_not_allowed(["GET"], request_id)), name)
    found = site.router.find(method, segments, request_id=request_id)
    if isinstance(found, Match):
        return Target((found, base), found.operation.operation_id)
    return Target(_unless_options(method, found))


def _unless_options(method: str, refused: Response) -> Response:
    if method == "OPTIONS" and refused.status == 405:
        return Response(204, headers=refused.headers, media_type=None)
    return refused


def _options(allowed: str) -> Response:
    return Response(204, headers=(("Allow", allowed),), media_type=None)
