"""What handlers work with; made once by the process, passed to every call, no global state."""

from dataclasses import dataclass

from titan.store.contract import Store


@dataclass(frozen=True, slots=True)
class Services:
    """The parts a handler may use."""

    store: Store
    lenient: bool = False
    """True: constraint violations are reported, not refused (`TITAN_MODEL__VERIFICATION=lenient`)."""
    budget_s: float = 1.8
    """How long one store call of a request may take; then 503 (architecture 5)."""
