"""Refusals of requests that never became one: what the protocol found wrong, in the standard's words (`Result`)."""

from titan.api.results import problem

_TEXTS = {
    400: "the request is not valid HTTP/1.1, or ambiguous",
    408: "the request's head did not arrive in time",
    414: "the request target is longer than this server takes",
    431: "the request's head is larger than this server takes",
    505: "this server speaks HTTP/1.1",
    501: "the request uses a transfer coding that this server does not know",
}


def protocol_refusal(status: int, request_id: str) -> bytes:
    """Return the body of a refusal with this status."""
    body = problem(status, _TEXTS.get(status, _TEXTS[400]), request_id=request_id).body
    assert isinstance(body, bytes)
    return body
