"""One request, counted once and told in one line."""

from datetime import UTC, datetime

from titan.http.observe import RequestRecord
from titan.telemetry.log import Log
from titan.telemetry.metrics import Metrics

QUIET = frozenset({"health_live", "health_ready", "metrics"})
"""What machines ask every few seconds; told at level debug unless it failed.

"Not ready" is an answer and no failure: the check that made it so has told of its change, once and with the cause.
"""

MAX_PATH_CHARS = 512
"""A path holds ids of up to 2,048 characters; their beginning tells which."""


class RequestTelemetry:
    """The `RequestObserver` of the HTTP server; costs some microseconds per request on the loop's thread."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self.request_started = metrics.request_started

    def request_finished(self, record: RequestRecord) -> None:
        """Count and tell a request."""
        self._metrics.request_finished(record.method, record.operation, record.status, record.duration_s)
        is_unready = (record.operation, record.status) == ("health_ready", 503)
        if (record.status >= 500 and not is_unready) or record.cut_because is not None:
            self._log.error("request", **_details(record))
        elif record.operation in QUIET:
            self._log.debug("request", **_details(record))
        else:
            self._log.info("request", **_details(record))

    def request_failed(self, record: RequestRecord, error: Exception) -> None:
        """Tell an error that nobody expected, with its traceback. The request itself is counted when it is finished."""
        self._log.error("request failed", operation=record.operation, request_id=record.request_id, exc_info=error)

    def connection_failed(self, error: BaseException) -> None:
        """Tell an error that nobody expected outside of any request."""
        self._log.error("connection failed", exc_info=error)

    def certificate_changed(self, expires_at: float) -> None:
        """Tell that new connections get another certificate."""
        self._log.info("certificate changed", expires=datetime.fromtimestamp(expires_at, UTC).isoformat())

    def certificate_refused(self, reason: str) -> None:
        """Tell that the certificate's new files do not work; the one before stays in use."""
        self._log.error("certificate refused", reason=reason, advice="the certificate read before stays in use")

    def accept_paused(self, reason: str) -> None:
        """Tell that no further connection can be taken."""
        self._log.warning("accepting paused", reason=reason)

    def accept_resumed(self) -> None:
        """Tell that connections are taken again."""
        self._log.info("accepting again")


def _details(record: RequestRecord) -> dict[str, object]:
    path = record.path
    details: dict[str, object] = {
        "method": record.method,
        "operation": record.operation,
        "path": path if len(path) <= MAX_PATH_CHARS else f"{path[:MAX_PATH_CHARS]}…",
        "status": record.status,
        "duration_ms": round(record.duration_s * 1000, 3),
        "received_bytes": record.received_bytes,
        "sent_bytes": record.sent_bytes,
        "request_id": record.request_id,
        "client": record.client,
        "caller": record.caller,
    }
    if record.cut_because is not None:
        details["cut_because"] = record.cut_because
    if record.because is not None:
        details["because"] = record.because
    if record.traceparent is not None:
        details["trace_id"] = record.traceparent[3:35]  # version-TRACEID-parent-flags
    return details
