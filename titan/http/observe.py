"""What is told about each request: metrics and the canonical log line are made of it, elsewhere."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request after its answer; complete also where there was no answer."""

    method: str
    operation: str
    """Operation id, a page's name such as `health_live`, or `unknown`: a bounded set, fit for a metric's label."""
    path: str
    """As sent, without the query; hostile: escape before printing."""
    status: int
    """499 where the client was gone before it could be answered."""
    duration_s: float
    received_bytes: int
    """Of the body."""
    sent_bytes: int
    """Of the body, after compression."""
    request_id: str
    client: str
    """Address of the client, seen through the trusted proxies."""
    traceparent: str | None
    """W3C trace context as sent, if well-formed."""
    caller: str = "anonymous"
    is_complete: bool = True
    """False where the connection broke before the answer was out."""
    cut_because: str | None = None
    """Why an answer in pieces had no end: what was to be sent could not be had any more."""
    because: str | None = None
    """Why it could not be done now (429, 503, 507)."""


def malformed_request(status: int, client: str, request_id: str) -> RequestRecord:
    """Return the record of something that was refused before it was a request."""
    return RequestRecord(
        method="-",
        operation="malformed",
        path="-",
        status=status,
        duration_s=0.0,
        received_bytes=0,
        sent_bytes=0,
        request_id=request_id,
        client=client,
        traceparent=None,
    )


class RequestObserver(Protocol):
    """Told of each request, on the loop's thread: must be quick and must not raise."""

    def request_started(self) -> None:
        """Count one more request in progress: its head was read."""

    def request_finished(self, record: RequestRecord) -> None:
        """Count it as done: its answer is out, or will never be."""

    def request_failed(self, record: RequestRecord, error: Exception) -> None:
        """Report an error that nobody expected; the client got a 500 if it could still be told."""

    def connection_failed(self, error: BaseException) -> None:
        """Report an error that nobody expected, outside of any request; the connection is closed."""

    def certificate_changed(self, expires_at: float) -> None:
        """Say that new connections get another certificate, and until when it is valid."""

    def certificate_refused(self, reason: str) -> None:
        """Say that the certificate's files changed and do not work; the one before stays in use."""

    def accept_paused(self, reason: str) -> None:
        """Say, once per pause, that no further connection can be taken for now."""

    def accept_resumed(self) -> None:
        """Say that connections are taken again."""
