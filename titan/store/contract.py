"""The promise that every store keeps; SQLite and PostgreSQL implement it, one contract suite runs on both.

Not promised: that a page of a list is a snapshot (documents written meanwhile may appear or not), and that a caller
who gives up (cancelled, deadline) learns what became of the write: it may still be committed. Nor that the numbers of
terms go on after a restore, or after a fail-over that lost the newest of them: whoever leads then must begin anew.

Promised:

* **Acknowledged means committed.** A write that returned an outcome survives the death of the process and, as far as
  the disk and the operator's settings do, of the machine. A read that begins after that sees it.
* **One change, one transaction.** The document, its search terms, its idempotency record and its row in the outbox
  are there together or not at all. What was refused has changed nothing.
* **Revisions** are drawn from one sequence of the database after the document is locked. They grow with every change
  of a document and never repeat for an id, not even after delete and re-create, nor after the outbox was trimmed, nor
  after a restore.
* **Preconditions** are compared and the write is made in one step; of two racing writers with one `IfMatch` one wins.
* **Idempotency**: a request that succeeded is carried out once, and its retries get its outcome for 24 h, also while
  it is still running and whatever was done to the document since. A request that was refused leaves no record.
* **Marks** say how new a read was, so that another one can be asked to be as new: a read at a snapshot shows a mark
  once every transaction up to that number has ended. A write's mark is its own transaction's number.
* **Pages** are keyset pages in the order of creation; replacing a document does not move it, and a page costs the same
  however deep it lies.
* **A deposed leader changes nothing.** What is written with a `Fence` is refused with `Deposed`, whole, once a newer
  term of that role has begun (`begin_term`). Terms are numbered from 1, and no number comes twice.
* **Bytes come back as they went in**: a document's content is opaque to the store.
* **Ids** are compared character by character: no case folding, no Unicode normalisation, 1 to 2,048 characters of any
  kind but U+0000 and lone surrogates. A document with another id is refused with `ValueError` (callers verify first);
  a read finds none.

Expected outcomes are values (`WriteOutcome`), matched exhaustively; a store that cannot serve raises
`StoreUnavailable`, one whose data is not sound `StoreDamaged`.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from titan.store.blobs import Blobs

if TYPE_CHECKING:
    from titan.store.cursors import Cursors
    from titan.store.sync_records import SyncRecords  # which knows this module
    from titan.store.tasks import Tasks

MAX_ID_CHARACTERS = 2048
"""Identifier length of the metamodel (IDTA-01001 3.1), in characters: every store takes ids that long."""

IDEMPOTENCY_KEPT_S = 24 * 3600
"""How long an idempotency record answers a retry (interfaces: 24 h)."""


MAX_POSITION = (1 << 63) - 1
"""Positions are 64 bits on either store; a greater one that a client made up is behind every document."""


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
    blobs: frozenset[str] = frozenset()
    """Keys of the files that it names; one that is no file of this store is nobody's business."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as read."""

    id: str
    revision: int
    modified_ms: int
    """Wall time of the last change, milliseconds since the epoch (for people and `Last-Modified`, never for order)."""
    body: bytes
    """The whole document as JSON."""
    mark: int = field(default=0, compare=False)
    """Number of the transaction that wrote it, or a greater one; 0 where the store numbers none."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a read of one document found, absence included."""

    stored: Stored | None
    mark: int
    """What a read must show to be as new as this one."""


@dataclass(frozen=True, slots=True)
class Page:
    """One keyset page. It may be shorter than asked for although more follow: a store ends it early at some MiB."""

    items: tuple[Stored, ...]
    next_after: int | None
    """Pass it as `after` for the next page; None on the last one."""
    mark: int = field(default=0, compare=False)
    """What a read must show to be as new as this one."""


@dataclass(frozen=True, slots=True)
class Need:
    """How new a read must be. A store may always give something newer."""

    is_newest: bool
    """Whatever was acknowledged before the read began; else up to a second may be missing."""
    mark: int = 0
    """In any case it shows this mark."""


NEWEST = Need(is_newest=True)
RECENT = Need(is_newest=False)


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
class _Outcome:
    mark: int = field(default=0, compare=False, kw_only=True)
    """What a read must show to be as new as this answer; 0 where the store numbers no transactions."""


@dataclass(frozen=True, slots=True)
class Created(_Outcome):
    """There was none; there is one now."""

    revision: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class Replaced(_Outcome):
    """The content is the new one."""

    revision: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class Deleted(_Outcome):
    """It is gone; `revision` is that of the deletion."""

    revision: int


@dataclass(frozen=True, slots=True)
class Replayed(_Outcome):
    """The same request was carried out before; this was its outcome. Nothing was written now."""

    first: Created | Replaced | Deleted


@dataclass(frozen=True, slots=True)
class AlreadyExists(_Outcome):
    """CREATE met a document; it has this revision."""

    revision: int


@dataclass(frozen=True, slots=True)
class NotFound(_Outcome):
    """There is no such document."""


@dataclass(frozen=True, slots=True)
class PreconditionFailed(_Outcome):
    """The precondition does not hold; `revision` is the current one, None where there is no document."""

    revision: int | None


@dataclass(frozen=True, slots=True)
class IdempotencyMismatch(_Outcome):
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class IdempotencyRunning(_Outcome):
    """The first request with this key has not ended yet."""


Done = Created | Replaced | Deleted
Refused = AlreadyExists | NotFound | PreconditionFailed | IdempotencyMismatch | IdempotencyRunning
WriteOutcome = Done | Replayed | Refused


# --- terms of leaders ---


@dataclass(frozen=True, slots=True)
class Fence:
    """In which term of which role something is written: the token that a lease alone cannot give."""

    role: str
    epoch: int
    """What `Store.begin_term` returned."""


@dataclass(frozen=True, slots=True)
class TermBegun:
    """The newest term of a role."""

    role: str
    epoch: int
    holder: str
    began_ms: int
    """Wall time, milliseconds since the epoch, by the database's clock."""


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
    mark: int = field(default=0, compare=False)
    """Number of its transaction; its revision where the store numbers none."""
    cursor: str = field(default="", compare=False)
    """Where `changes` told it: pass it as `after` to go on behind this one."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Some changes, in an order in which each document's own come as they were made."""

    items: tuple[Change, ...]
    cursor: str
    """Pass it as `after` to go on behind the last of them. Opaque, at most 200 characters of ASCII."""
    shows: int = field(default=0, compare=False)
    """The highest mark of which everything has been told, here or before."""
    is_last: bool = field(default=True, compare=False)
    """False where more could have been told at that moment."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest changes and the cursor behind them, for who begins to follow and wants to know what just was."""

    items: tuple[Change, ...]
    """In no particular order."""
    cursor: str
    shows: int
    """The highest mark of which every change was made before."""
    whole_from: int
    """Every change of a transaction above this number that was visible is among them."""
    history: str
    """Names the database and its history; marks and revisions of another one mean something else."""
    installation: str = ""
    """Names the database whoever serves it: the same after a fail-over and on another server."""


@dataclass(frozen=True, slots=True)
class ChangesGone:
    """Changes behind that cursor cannot be told any more; begin anew with what the store holds now.

    They were trimmed, or the cursor is of another history (a restore, a fail-over that lost some).
    """


# --- errors ---


class StoreUnavailable(Exception):
    """The store cannot serve now and nobody's request is at fault. `reason` is for people."""

    def __init__(self, reason: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class OutcomeUnknown(StoreUnavailable):
    """A write was sent and its end was not seen: it may be committed. A retry with the same idempotency key is safe."""


class StoreClosed(StoreUnavailable):
    """This store object serves nobody any more, at its owner's will or for the reason given; asking again is no use."""


class StoreFull(StoreUnavailable):
    """There is no room for the write; reads go on. Said to the client as 507."""


class Deposed(Exception):
    """A newer term of the role has begun: what was to be written under this fence was not. The term is over."""

    def __init__(self, fence: Fence, current: int) -> None:
        super().__init__(f"{fence.role}: term {fence.epoch} is over, term {current} has begun")
        self.fence = fence
        self.current = current
        """The newest term's number; 0 where none has ever begun."""


class StoreDamaged(Exception):
    """The database is not what it must be (header, schema, pages); `reason` says what was found and where."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def is_id(document_id: str) -> bool:
    """Say whether a store can keep a document of that id; see "Ids" above."""
    try:
        document_id.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return 0 < len(document_id) <= MAX_ID_CHARACTERS and "\0" not in document_id


class Store(Protocol):
    """Reads and writes of documents. Every method may raise `StoreUnavailable`; callers own the time-out (a scope).

    Cancelling a read is free. Cancelling a write leaves its outcome open, never half done, and touches no other write.
    """

    @property
    def blobs(self) -> Blobs:
        """The files that documents name."""
        ...

    @property
    def cursors(self) -> "Cursors":
        """How far those have come who must not miss a change."""
        ...

    @property
    def sync_records(self) -> "SyncRecords":
        """What is known of other servers' documents."""
        ...

    @property
    def tasks(self) -> "Tasks":
        """What is kept for the tasks of leaders."""
        ...

    @property
    def history(self) -> str:
        """Names what the marks belong to; empty while that is not known."""
        ...

    async def find(self, kind: Kind, document_id: str, *, with_blobs: bool = False, need: Need = NEWEST) -> Found:
        """Read a document, or find that there is none. `with_blobs` includes the values of Blob elements."""
        ...

    async def get(self, kind: Kind, document_id: str, *, with_blobs: bool = False) -> Stored | None:
        """Return what `find` finds, as new as can be."""
        ...

    async def page(
        self,
        kind: Kind,
        *,
        terms: Sequence[Term] = (),
        after: int = 0,
        limit: int = 100,
        with_blobs: bool = False,
        need: Need = NEWEST,
    ) -> Page:
        """Return up to `limit` (at least 1) documents created after position `after` that carry all `terms`.

        Whoever pages from 0 to the end sees every document that was there before and is there after, exactly once.
        """
        ...

    async def write(
        self,
        document: Document,
        mode: WriteMode,
        *,
        precondition: Precondition | None = None,
        idempotency: Idempotency | None = None,
        fence: Fence | None = None,
    ) -> WriteOutcome:
        """Write a whole document. With `fence`, raises `Deposed` where that term is over.

        Judged in this order, in the step of the write: an earlier request with the same key (`Replayed`,
        `IdempotencyMismatch`, `IdempotencyRunning`); REPLACE of what is not there (`NotFound`: RFC 9110 13.2.1 lets no
        precondition hide a 404); the precondition (`PreconditionFailed`); CREATE of what is there (`AlreadyExists`).
        """
        ...

    async def delete(
        self,
        kind: Kind,
        document_id: str,
        *,
        precondition: Precondition | None = None,
        fence: Fence | None = None,
    ) -> WriteOutcome:
        """Delete a document: `Deleted`, `NotFound` (whatever the precondition) or `PreconditionFailed`.

        With `fence`, raises `Deposed` where that term is over.
        """
        ...

    async def changes(self, *, after: str | None = None, limit: int = 1000) -> Changes | ChangesGone:
        """Return committed changes behind a cursor; None stands for the oldest that is kept.

        Whoever follows the cursors sees every change exactly once; one that is committed later is never passed over.
        """
        ...

    async def latest(self, limit: int) -> Latest:
        """Return up to `limit` of the newest changes and the cursor behind them."""
        ...

    async def cursor(self) -> str:
        """Return the cursor behind the newest change: what follows it happens from now on."""
        ...

    async def trim_changes(self, *, before_ms: int, fence: Fence) -> int:
        """Forget the changes of before that wall time (milliseconds since the epoch); return how many they were.

        Never one that a durable cursor still needs (`cursors`). A leader's work, in many short transactions: raises
        `Deposed` at the first one after the term's end.
        """
        ...

    async def begin_term(self, role: str, holder: str) -> int:
        """Begin the next term of a role and return its number, which is the fence of all that the term writes.

        Returns once no write under an older fence can be committed any more: one whose transaction is open is waited
        for, at most for as long as the store lets a transaction of a frozen instance live (PostgreSQL: 3 s). Where its
        end is not known (`OutcomeUnknown`, a cancellation) a number is lost, nothing else.
        """
        ...

    async def terms(self) -> Sequence[TermBegun]:
        """Return the newest term of every role that ever had one, by name."""
        ...

    def export(self, kind: Kind, *, with_blobs: bool = True) -> AsyncIterator[Stored]:
        """Iterate over all documents of a kind, page by page, in order of creation."""
        ...
