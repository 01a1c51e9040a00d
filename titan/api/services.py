"""What handlers work with; made once by the process, passed to every call, no global state."""

from dataclasses import dataclass, field

import trio

from titan.model.strict_json import MAX_DEPTH
from titan.store.contract import Store


@dataclass(frozen=True, slots=True)
class PageSizes:
    """How many results one page of a list has (`[api]` of the settings)."""

    default: int = 100
    """Where the client does not say (IDTA-01002)."""
    most: int = 1000


def _one_at_a_time() -> trio.CapacityLimiter:
    return trio.CapacityLimiter(1)


@dataclass(frozen=True, slots=True)
class Services:
    """The parts a handler may use."""

    store: Store
    lenient: bool = False
    """True: constraint violations are reported, not refused (`TITAN_MODEL__VERIFICATION=lenient`)."""
    budget_s: float = 1.8
    """How long one store call of a request may take; then 503 (architecture 5)."""
    max_depth: int = MAX_DEPTH
    """How deep JSON may be nested."""
    max_file_bytes: int = 256 << 20
    """Largest file that is taken."""
    page_sizes: PageSizes = PageSizes()
    heavy: trio.CapacityLimiter = field(default_factory=_one_at_a_time)
    """Bounds the threads for large documents: Python runs one at a time anyway, and each more makes the loop wait."""
