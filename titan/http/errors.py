"""Refusals made by the transport, in the standard's words (`Result`, IDTA-01002 "StatusCode enumeration")."""

from datetime import UTC, datetime

import orjson

from titan.api.messages import Response

_TEXTS = {
    400: "The request is not valid HTTP/1.1.",
    408: "The request did not arrive in time.",
    413: "The body is larger than this server takes.",
    414: "The request target is longer than this server takes.",
    431: "The request's head is larger than this server takes.",
    501: "The request uses a transfer coding that this server does not know.",
}


def result(status: int, text: str, request_id: str) -> bytes:
    """Return a `Result` with one message."""
    message = {
        "code": str(status),
        "correlationId": request_id,
        "messageType": "Exception" if status >= 500 else "Error",
        "text": text,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return orjson.dumps({"messages": [message]})


def refusal(status: int, text: str, request_id: str, *headers: tuple[str, str]) -> Response:
    """Return an answer with a `Result` as its body."""
    return Response(status, result(status, text, request_id), headers)


def protocol_refusal(status: int, request_id: str) -> bytes:
    """Return the body for a request that is none, or not to the end."""
    return result(status, _TEXTS.get(status, _TEXTS[400]), request_id)
