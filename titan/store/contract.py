"""The promise that every store keeps; SQLite and PostgreSQL implement it, one contract suite runs on both.

Not promised: that a page of a list is a snapshot (documents written meanwhile may appear or not), and that a caller
who gives up (cancelled, deadline) learns what became of the write: it may still be committed.

Promised:

* **Acknowledged means committed.** A write that returned an outcome survives the death of the process and, as far as
  the disk and the operator's settings do, of the machine.
* **One change, one transaction.** The document, its search terms, its idempotency record and its row in the outbox
  are there together or not at all.
* **Revisions** are drawn from one sequence of the database after the document is locked. They grow with every change
  and never repeat for an id, not even after delete and re-create, nor after the outbox was trimmed.
* **Preconditions** are compared and the write is made in one step; of two racing writers with one `IfMatch` one wins.
* **Pages** are keyset pages in the order of creation; a page costs the same however deep it lies.
* **Bytes come back as they went in**: a document's content is opaque to the store.

Expected outcomes are values (`WriteOutcome`), matched exhaustively; a store that cannot serve raises
`StoreUnavailable`.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

IDEMPOTENCY_KEPT_S = 24 * 3600
"""How long an idempotency record answers a retry (interfaces: 24 h)."""


class Kind(StrEnum):
    """What is stored under an id of its own (the identifiables of IDTA-01001)."""

    SHELL = "shell"
    SUBMODEL = "submodel"
    CONCEPT_DESCRIPTION = "concept-description"


class Field(StrEnum):
    """What a document can be found by; each is one index entry per value."""

    ID_SHORT = "idShort"
    SEMANTIC_ID = "semanticId"  # semanticId and every supplementalSemanticId, in canonical form
    ASSET_ID = "assetId"  # canonical form of one SpecificAssetId name and value; globalAssetId is one of them
    IS_CASE_OF = "isCaseOf"
    DATA_SPECIFICATION = "dataSpecification"


class Term(NamedTuple):
    """One thing a document can be found by. Values have any length; stores index a digest of them."""

    field: Field
    value: str


@dataclass(frozen=True, slots=True)
class Element:
    """One top-level submodel element, a row of its own, so that changing it does not touch its siblings."""

    id_short: str | None
    content: bytes
    """Canonical JSON of the element."""
    content_without_blobs: bytes | None = None
    """The same without Blob values; None where there are none, which is nearly always."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document ready to be written: verified, canonical, with what it is to be found by."""

    kind: Kind
    id: str
    header: bytes
    """Canonical JSON object; for a submodel without its member `submodelElements`."""
    elements: tuple[Element, ...] | None = None
    """Top-level elements in order; None where the document has no member `submodelElements`."""
    terms: frozenset[Term] = frozenset()


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as read."""

    id: str
    revision: int
    modified_ms: int
    """Wall time of the last change, milliseconds since the epoch (for people and `Last-Modified`, never for order)."""
    body: bytes
    """The whole document as JSON."""


@dataclass(frozen=True, slots=True)
class Page:
    """One keyset page."""

    items: tuple[Stored, ...]
    next_after: int | None
    """Pass it as `after` for the next page; None on the last one."""


# --- preconditions ---


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The document must exist with one of these revisions; an empty tuple stands for `*` (any)."""

    revisions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class IfNoneMatch:
    """The document must not exist with one of these revisions; an empty tuple stands for `*` (must not exist)."""

    revisions: tuple[int, ...]


Precondition = IfMatch | IfNoneMatch


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Identifies a retry of the same request, so that it is carried out once."""

    scope: bytes
    """Digest over caller, operation and the client's key."""
    request: bytes
    """Digest over what was asked; another one under the same scope is a client's mistake."""


class WriteMode(StrEnum):
    """What a write of a whole document may do."""

    CREATE = "create"  # only where there is none
    REPLACE = "replace"  # only where there is one
    PUT = "put"  # either


# --- outcomes ---


@dataclass(frozen=True, slots=True)
class Created:
    """There was none; there is one now."""

    revision: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """The content is the new one."""

    revision: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """It is gone; `revision` is that of the deletion."""

    revision: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """The same request was carried out before; this was its outcome. Nothing was written now."""

    first: Created | Replaced | Deleted


@dataclass(frozen=True, slots=True)
class AlreadyExists:
    """CREATE met a document; it has this revision."""

    revision: int


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such document."""


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    """The precondition does not hold; `revision` is the current one, None where there is no document."""

    revision: int | None


@dataclass(frozen=True, slots=True)
class IdempotencyMismatch:
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class IdempotencyRunning:
    """The first request with this key has not ended yet."""


Done = Created | Replaced | Deleted
Refused = AlreadyExists | NotFound | PreconditionFailed | IdempotencyMismatch | IdempotencyRunning
WriteOutcome = Done | Replayed | Refused


# --- the outbox ---


class ChangeType(StrEnum):
    """What happened to a document."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the outbox, written in the transaction of the change."""

    revision: int
    kind: Kind
    id: str
    type: ChangeType
    modified_ms: int


# --- errors ---


class StoreUnavailable(Exception):
    """The store cannot serve now and nobody's request is at fault. `reason` is for people."""

    def __init__(self, reason: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class OutcomeUnknown(StoreUnavailable):
    """A write was sent and its end was not seen: it may be committed. A retry with the same idempotency key is safe."""


class StoreFull(StoreUnavailable):
    """There is no room for the write; reads go on. Said to the client as 507."""


class StoreDamaged(Exception):
    """The database is not what it must be (header, schema, pages); `reason` says what was found and where."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Store(Protocol):
    """Reads and writes of documents. Every method may raise `StoreUnavailable`; callers own the time-out (a scope).

    Cancelling a read is free. Cancelling a write leaves its outcome open, never half done.
    """

    async def get(self, kind: Kind, document_id: str, *, with_blobs: bool = False) -> Stored | None:
        """Return the document, or None where there is none. `with_blobs` includes the values of Blob elements."""
        ...

    async def page(
        self,
        kind: Kind,
        *,
        terms: Sequence[Term] = (),
        after: int = 0,
        limit: int = 100,
        with_blobs: bool = False,
    ) -> Page:
        """Return up to `limit` documents created after position `after` that carry all `terms`."""
        ...

    async def write(
        self,
        document: Document,
        mode: WriteMode,
        *,
        precondition: Precondition | None = None,
        idempotency: Idempotency | None = None,
    ) -> WriteOutcome:
        """Write a whole document. The precondition is judged before existence, as RFC 9110 13.2 orders."""
        ...

    async def delete(self, kind: Kind, document_id: str, *, precondition: Precondition | None = None) -> WriteOutcome:
        """Delete a document; `NotFound` where there is none."""
        ...

    async def changes(self, *, after: int = 0, limit: int = 1000) -> Sequence[Change]:
        """Return committed changes with a revision above `after`, in order of revision."""
        ...

    def export(self, kind: Kind, *, with_blobs: bool = True) -> AsyncIterator[Stored]:
        """Iterate over all documents of a kind, page by page, in order of creation."""
        ...
