"""From a handler's answer to the head and body that are sent."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from titan.api.messages import Response
from titan.http import compression
from titan.http.headers import STANDARD, TRANSPORT_SECURITY, RawHeaders


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes to the client; `Date`, `Server` and, in a drain, `Connection` are added by the protocol."""

    status: int
    headers: RawHeaders
    body: bytes | AsyncGenerator[bytes, None]


async def make_reply(response: Response, request: Mapping[str, str], request_id: str, *, is_tls: bool) -> Reply:
    """Add what every answer carries, compress where it pays, count the body; HEAD gets what GET would get.

    `request`: the request's headers.
    """
    headers = _encoded(response)
    body = response.body
    if compression.is_compressible(response):
        assert isinstance(body, bytes)
        headers.append((b"vary", b"accept-encoding"))
        if compression.accepts_gzip(request.get("accept-encoding")):
            body = await compression.compress(body)
            headers = _with_coded_etag(headers)
            headers.append((b"content-encoding", b"gzip"))
    elif response.status == 304:
        headers.append((b"vary", b"accept-encoding"))
        # A cache finds the answer that this 304 refreshes by its tag (RFC 9111, 4.3.4).
        if compression.names_coded_etag(request.get("if-none-match", "")):
            headers = _with_coded_etag(headers)
    headers.append((b"x-request-id", request_id.encode("ascii")))
    if is_tls:
        headers.append(TRANSPORT_SECURITY)
    if isinstance(body, bytes) and response.status not in (101, 204, 304):
        headers.append((b"content-length", b"%d" % len(body)))
    return Reply(response.status, headers, body)


def _encoded(response: Response) -> RawHeaders:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if response.media_type is not None:
        headers.append((b"content-type", response.media_type.encode("latin-1")))
    given = {name for name, _ in headers}
    headers += [standard for standard in STANDARD if standard[0] not in given]
    return headers


def _with_coded_etag(headers: RawHeaders) -> RawHeaders:
    return [
        (name, compression.coded_etag(value.decode("latin-1")).encode("latin-1") if name == b"etag" else value)
        for name, value in headers
    ]
