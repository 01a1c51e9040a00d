"""The standard's error answer: `Result` with messages (IDTA-01002, Result and Message)."""

from collections.abc import Iterable
from datetime import UTC, datetime
from math import ceil

import orjson

from titan.api.messages import Response

CODES = {
    400: "ClientErrorBadRequest",
    401: "ClientNotAuthorized",
    403: "ClientForbidden",
    404: "ClientErrorResourceNotFound",
    405: "ClientMethodNotAllowed",
    406: "ClientNotAcceptable",
    408: "ClientRequestTimeout",
    409: "ClientResourceConflict",
    410: "ClientResourceGone",
    412: "ClientPreconditionFailed",
    413: "ClientContentTooLarge",
    414: "ClientUriTooLong",
    415: "ClientUnsupportedMediaType",
    422: "ClientUnprocessableContent",
    426: "ClientUpgradeRequired",
    429: "ClientTooManyRequests",
    431: "ClientHeadersTooLarge",
    500: "ServerInternalError",
    501: "ServerNotImplemented",
    503: "ServerUnavailable",
    505: "ServerHttpVersionNotSupported",
    507: "ServerInsufficientStorage",
}
"""`Message.code` by status: the standard's status codes where it names one, in its manner where it does not."""


def problem(
    status: int,
    texts: str | Iterable[str],
    *,
    request_id: str = "",
    headers: tuple[tuple[str, str], ...] = (),
    because: str | None = None,
) -> Response:
    """Answer an error with one message per text, at least one."""
    message = {
        "code": CODES.get(status, f"HTTP{status}"),
        "messageType": "Exception" if status >= 500 else "Error",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    if request_id:
        message["correlationId"] = request_id[:128]
    listed = [texts] if isinstance(texts, str) else texts
    body = orjson.dumps({"messages": [message | {"text": text} for text in listed]})
    return Response(status, body, headers, because=because)


def unavailable(
    text: str, *, because: str = "", request_id: str = "", retry_after_s: float = 1.0, status: int = 503
) -> Response:
    """Answer that it cannot be done now, and when to come back; the log is told `because`, else the text itself."""
    retry_after = ("Retry-After", str(max(1, ceil(retry_after_s))))
    return problem(status, text, request_id=request_id, headers=(retry_after,), because=because or text)
