"""What one client may ask of this server: sizes, times and rates (names as in `[http]` of the settings)."""

from dataclasses import dataclass

MIB = 1024 * 1024
FORM_BYTES = 64 * 1024
"""What a form may have besides its file: boundaries, headers of parts, short fields."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Enforced while reading and writing, per connection; the defaults are those of the settings."""

    max_body_bytes: int = 8 * MIB
    """Largest body of a request; more is answered 413."""
    max_file_bytes: int = 256 * MIB
    """Largest file in a body that is read piece by piece (`Operation.streams`); more is answered 413."""
    max_head_bytes: int = 32 * 1024
    """Largest request line with headers; more is answered 431, or 414 where the line alone is too long."""
    head_timeout_s: float = 10.0
    """From a head's first byte (of a connection's first request: from accepting it) to its last."""
    body_timeout_s: float = 60.0
    """From the head's end to the body's, unless the body keeps `body_min_bytes_per_s` on average."""
    body_min_bytes_per_s: int = 1024
    """In a body that is read piece by piece, what the server takes to do with it does not count, and no piece may
    take longer than `body_timeout_s`."""
    keep_alive_s: float = 75.0
    """How long a connection may wait for its next request; longer than the balancer's own (nginx: 60 s)."""
    write_timeout_s: float = 30.0
    """How long a client may take nothing of its answer."""
    linger_s: float = 1.0
    """How long what a client still sends is read and dropped after the last answer, so that it sees that answer.

    Closing at once would reset the connection, and a reset may overtake the answer (RFC 9112, 9.6).
    """
    handshake_timeout_s: float = 10.0
    drain_idle_s: float = 1.5
    """How long an idle connection stays open during a drain, for requests that were on their way."""
    max_connections: int = 4096
    crowded_idle_s: float = 1.0
    """Where no further connection can be taken: how long one must have been without a request to make room."""

    @property
    def max_unfinished_bytes(self) -> int:
        """What the large bodies of all unfinished requests may take together; beyond it they get 503."""
        return max(128 * MIB, 2 * self.max_body_bytes)

    @property
    def max_upload_bytes(self) -> int:
        """Largest body with a file in it: there is something around the file."""
        return self.max_file_bytes + FORM_BYTES

    def body_deadline(self, started: float, received_bytes: int) -> float:
        """Return until when more of a body may come, given its start and what has come so far (same clock)."""
        return started + max(self.body_timeout_s, received_bytes / self.body_min_bytes_per_s)
