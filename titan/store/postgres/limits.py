"""How long and how many: everything in the PostgreSQL store that is a number, with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Defaults are for a server under load; tests use shorter ones."""

    pool_size: int = 20
    """Connections of one instance, besides the probe's."""
    queue: int = 200
    """Callers that may wait for a connection; ten times the pool, so that none waits in vain."""
    queue_s: float = 0.25
    """How long one waits: a request that cannot start by then is better told so."""
    warm: int = 2
    """Connections opened before the first request needs them."""
    connect_s: float = 1.0
    """From a name to a session, per host."""
    stagger_s: float = 0.2
    """With several hosts: how long one has before the next is tried beside it."""
    max_age_s: float = 300.0
    """A connection lives no longer, so that a name which moved is noticed."""
    statement_s: float = 1.5
    """The server's own limit for a statement of a request; less than the request's budget, so that it speaks first."""
    idle_in_transaction_s: float = 3.0
    """The server ends the transaction of an instance that froze in it, and with it its locks."""
    frozen_s: float = 2.5
    """The same for one that froze in the middle of a statement, which the instances see to, at their next probe."""
    recover_s: float = 0.5
    """How long a connection gets to come back from a cancelled statement before it is dropped."""
    probe_every_s: float = 0.5
    probe_s: float = 1.0
    """With `probe_every_s`: a server that froze is noticed within 1.5 s."""

    def as_settings(self) -> dict[str, str]:
        """Return what a session is started with."""
        return {
            "statement_timeout": f"{self.statement_s * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{self.idle_in_transaction_s * 1000:.0f}",
            # What the SQL of this store is written for, whatever the server's default is.
            "default_transaction_isolation": "read committed",
            "jit": "off",  # short statements, whose costs the planner overrates on a fresh database
        }

    def as_statements(self) -> str:
        """Return the same for one transaction behind a pooler, which refuses or forgets a session's settings."""
        local = ("statement_timeout", "idle_in_transaction_session_timeout")
        return "".join(f" SET LOCAL {name} = {self.as_settings()[name]};" for name in local)
