"""One document: what is there, what is here, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar, assert_never

import trio

from titan.model.documents import Prepared, Unacceptable, prepare
from titan.model.identifiers import encode_identifier, identifier_fault
from titan.store.contract import (
    AlreadyExists,
    Created,
    Deleted,
    Document,
    Fence,
    IdempotencyMismatch,
    IdempotencyRunning,
    IfMatch,
    Kind,
    NotFound,
    PreconditionFailed,
    Replaced,
    Replayed,
    Store,
    WriteMode,
    WriteOutcome,
)
from titan.store.sync_records import Followed
from titan.sync.content import Verdict, decide, digest_of
from titan.sync.listing import PATHS, Listed
from titan.sync.policy import Policy
from titan.sync.remote import Answer, Remote, RemoteFailed, TooLarge
from titan.sync.report import Outcome
from titan.sync.source import Filter

ATTEMPTS: Final = 5
"""Others may write the same document between our look and our write, but not for ever."""

INLINE_MAX_BYTES: Final = 64 * 1024
"""Up to here parsing and verifying takes the loop less than 5 ms; beyond, it is done in a thread."""

_GONE: Final = frozenset({404, 410})
_BLOB: Final = b'"Blob"'

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is to be written. `record` is to be kept, if it is another one than before."""

    outcome: Outcome
    record: Followed


@dataclass(frozen=True, slots=True)
class Outside:
    """It is not within the filter (any more)."""


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no such document there."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot be taken."""

    reason: str
    is_the_servers: bool = False
    """True: it could not be had; with many of these in a row it is not the document's fault."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """It is to be written here."""

    document: Document
    there: bytes
    etag: str | None
    known: Followed | None
    here: bytes | None
    revision: int
    """Of the document here, 0 where there is none."""


Finding = Settled | Outside | Gone | Refused | Wanted


@dataclass(frozen=True, slots=True)
class _Content:
    """A whole document as the other server has it."""

    raw: bytes
    there: bytes
    etag: str | None


class Documents:
    """Looks at documents of one source and writes them."""

    def __init__(self, remote: Remote, store: Store, fence: Fence, wanted: Filter, policy: Policy) -> None:
        self._remote = remote
        self._store = store
        self._fence = fence
        self._filter = wanted
        self._policy = policy
        self._heavy = trio.CapacityLimiter(1)

    async def has_tag(self, kind: Kind, document_id: str, known: Followed | None) -> bool:
        """Say whether the server gives its documents entity tags, by one of them."""
        try:
            answer = await self._get(kind, document_id, None if known is None else known.etag)
        except TooLarge as error:
            return error.etag is not None
        return answer.etag is not None

    async def examine(self, kind: Kind, item: Listed, known: Followed | None, *, was_listed: bool) -> Finding:
        """Find out what is to be done about one document. Writes nothing."""
        document_id = item.id
        if document_id is None or (fault := identifier_fault(document_id)) is not None:
            return Refused("has no id" if document_id is None else f"id: {fault}")
        local = await self._store.get(kind, document_id)
        revision = 0 if local is None else local.revision
        is_as_left = known is not None and known.digest is not None and revision == known.revision
        # A copy that was changed here is fetched even where it did not change there; and where the list did not show
        # it, only its content tells whether it is still within the filter.
        may_tell = (is_as_left or (known is not None and not known.is_copy)) and (was_listed or self._filter.is_open)
        content = await self._content(
            kind, document_id, item.raw, known if may_tell else None, is_newest=not was_listed
        )
        if not isinstance(content, _Content | None):
            return content
        if content is None:  # as it was
            assert known is not None
            return Settled(Outcome.UNCHANGED if is_as_left else Outcome.KEPT, known)
        if is_as_left and was_listed and known is not None and content.there == known.digest:
            return Settled(Outcome.UNCHANGED, replace(known, etag=content.etag))
        return await self._judge(kind, document_id, content, known, must_match=not was_listed)

    async def _content(
        self, kind: Kind, document_id: str, listed: bytes | None, known: Followed | None, *, is_newest: bool
    ) -> _Content | Gone | Refused | None:
        """Return what is there; None where it is what `known` says."""
        etag = None
        raw = listed
        if raw is None or (kind is Kind.SUBMODEL and _BLOB in raw):  # lists leave the values of Blob elements out
            try:
                answer = await self._get(kind, document_id, None if known is None else known.etag, is_newest=is_newest)
            except TooLarge as error:
                return Refused(str(error))
            except RemoteFailed as error:
                return Refused(str(error), is_the_servers=True)
            if answer.status == 304:
                return None
            if answer.status in _GONE:
                return Gone()
            if answer.status != 200:
                return Refused(f"the server answers {answer.status}", is_the_servers=True)
            raw, etag = answer.body, answer.etag
        if len(raw) > self._policy.limits.max_document_bytes:
            return Refused(f"has {len(raw)} bytes, allowed are {self._policy.limits.max_document_bytes}")
        whole = raw
        try:
            there = await self._work(len(raw), lambda: digest_of(whole))
        except ValueError:
            return Refused("is no JSON")
        return _Content(raw, there, etag)

    async def _judge(
        self, kind: Kind, document_id: str, content: _Content, known: Followed | None, *, must_match: bool
    ) -> Finding:
        local = await self._store.get(kind, document_id, with_blobs=True)
        here, revision = None, 0
        if local is not None:
            body, revision = local.body, local.revision
            here = await self._work(len(body), lambda: digest_of(body))
        verdict = decide(content.there, here, known)
        prepared: Prepared | Unacceptable | None = None
        if verdict is Verdict.TAKE or must_match:
            prepared = await self._work(len(content.raw), lambda: self._prepare(kind, content.raw))
            if isinstance(prepared, Unacceptable):
                first, *more = prepared.violations
                return Refused(f"{first} (and {len(more)} more)" if more else str(first))
            if prepared.document.id != document_id:
                return Refused("the document has another id than it is listed by")
            if not self._filter.wants(kind, document_id, prepared.document.terms):
                return Outside()
        match verdict:
            case Verdict.EQUAL:
                is_copy = known is not None and known.is_copy
                record = Followed(kind, document_id, content.etag, content.there, None, revision, is_copy)
                return Settled(Outcome.UNCHANGED, record)
            case Verdict.KEEP:
                assert known is not None
                # The revision stays as it was: it is looked at again, and counted, for as long as it differs.
                record = replace(known, etag=content.etag, digest=content.there, gave_way=None)
                return Settled(Outcome.KEPT, record)
            case Verdict.TAKE:
                assert isinstance(prepared, Prepared)
                return Wanted(prepared.document, content.there, content.etag, known, here, revision)
        assert_never(verdict)

    async def write(self, wanted: Wanted) -> Settled | Refused:
        """Write one document."""
        document = wanted.document
        for _ in range(ATTEMPTS):
            mode = WriteMode.REPLACE if wanted.revision else WriteMode.CREATE
            seen = IfMatch((wanted.revision,)) if wanted.revision else None
            outcome = await self._store.write(document, mode, precondition=seen, fence=self._fence)
            settled = _written(wanted, outcome)
            if settled is not None:
                return settled
            again = await self._look_again(wanted)
            if isinstance(again, Settled):
                return again
            wanted = again
        return Refused("others keep changing it here")

    async def _look_again(self, wanted: Wanted) -> Settled | Wanted:
        document = wanted.document
        local = await self._store.get(document.kind, document.id, with_blobs=True)
        here = None if local is None else digest_of(local.body)
        revision = 0 if local is None else local.revision
        if here == wanted.there:
            record = Followed(document.kind, document.id, wanted.etag, wanted.there, None, revision)
            return Settled(Outcome.UNCHANGED, record)
        return replace(wanted, here=here, revision=revision)

    async def remove(self, known: Followed) -> Outcome | None:
        """Delete here what is gone there; None where it was gone here as well. What a pull did not create stays."""
        if not known.is_copy:
            return Outcome.RELEASED
        while (local := await self._store.get(known.kind, known.id, with_blobs=True)) is not None:
            if local.revision != known.revision and digest_of(local.body) != known.digest:
                return Outcome.RELEASED  # changed here since: not what came from there
            seen = IfMatch((local.revision,))
            outcome = await self._store.delete(known.kind, known.id, precondition=seen, fence=self._fence)
            match outcome:
                case Deleted():
                    return Outcome.DELETED
                case NotFound():
                    return None
                case PreconditionFailed():
                    continue
                case _:
                    raise AssertionError(f"a deletion cannot have the outcome {outcome}")
        return None

    async def _get(self, kind: Kind, document_id: str, etag: str | None, *, is_newest: bool = False) -> Answer:
        query = {"extent": "withBlobValue"} if kind is Kind.SUBMODEL else None
        path = f"{PATHS[kind]}/{encode_identifier(document_id)}"
        max_bytes = self._policy.limits.max_document_bytes
        return await self._remote.get(path, query, known=etag, is_newest=is_newest, max_bytes=max_bytes)

    def _prepare(self, kind: Kind, raw: bytes) -> Prepared | Unacceptable:
        return prepare(kind, raw, lenient=self._policy.is_lenient, max_depth=self._policy.limits.max_depth)

    async def _work(self, size: int, work: Callable[[], T]) -> T:
        if size <= INLINE_MAX_BYTES:
            return work()
        return await trio.to_thread.run_sync(work, limiter=self._heavy)


def _written(wanted: Wanted, outcome: WriteOutcome) -> Settled | None:
    """Return what a write came to, None where somebody else was quicker."""
    document, known = wanted.document, wanted.known
    record = Followed(document.kind, document.id, wanted.etag, wanted.there)
    match outcome:
        case Created(revision):
            return Settled(Outcome.CREATED, replace(record, revision=revision, is_copy=True))
        case Replaced(revision):
            # A record that only announced a creation does not make a copy of what somebody else created.
            is_copy = known is not None and known.is_copy and known.digest is not None
            record = replace(record, revision=revision, gave_way=wanted.here, is_copy=is_copy)
            return Settled(Outcome.REPLACED, record)
        case AlreadyExists() | PreconditionFailed() | NotFound():
            return None
        case Deleted() | Replayed() | IdempotencyMismatch() | IdempotencyRunning():
            raise AssertionError(f"a write without idempotency key cannot have the outcome {outcome}")
    assert_never(outcome)
