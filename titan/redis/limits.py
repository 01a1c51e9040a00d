"""How long and how many: everything in the use of Redis that is a number, with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Defaults are for a server under load; tests use others."""

    timeout_s: float = 0.3
    """How long a call may take, all of it. What Redis speeds up is slower than that only when Redis is not well."""
    connect_s: float = 1.0
    """From a name to a server that answered."""
    look_every_s: float = 1.0
    """With `timeout_s`: a server that froze while nobody asked it is noticed within 1.3 s."""
    max_age_s: float = 300.0
    """A connection lives no longer, so that a name which moved is noticed."""
    retry_s: tuple[float, float] = (1.0, 1.4)
    """Between the begins of two attempts to connect: any time between these, so that instances spread."""
