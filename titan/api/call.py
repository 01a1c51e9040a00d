"""What a handler gets: a request whose every part has been read and found sound."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from titan.api.conditions import NO_CONDITIONS, Conditions
from titan.api.messages import Request
from titan.store.contract import NEWEST, Need, Term


@dataclass(frozen=True, slots=True)
class Query:
    """The query parameters, parsed; each has its default where it was not given or the operation has none such."""

    limit: int = 100
    after: int = 0
    core: bool = False
    with_blobs: bool = False
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one operation."""

    operation_id: str
    request: Request
    path: Mapping[str, str] = field(default_factory=dict)
    """Path parameters; identifiers are plain, not base64url."""
    query: Query = Query()
    conditions: Conditions = NO_CONDITIONS
    idempotency_key: str | None = None
    need: Need = NEWEST
    """How new what is read must be; a write's conditions are always judged by the newest."""
