"""What becomes of one document that is to be taken into a store: look, compare, write, and look again if others did."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

import trio

from titan.cli.transfer.reading import same_content
from titan.cli.transfer.rows import Status
from titan.model.documents import assemble
from titan.store import contract
from titan.store.contract import Document, Precondition, Store, WriteMode

PATIENCE_S: Final = 30.0
"""How long a store that cannot serve (a lock held by another process, say) is asked again."""

ATTEMPTS: Final = 10
"""Others may write the same document between our look and our write, but not for ever."""


class Existing(StrEnum):
    """What to do with a document that exists with other content."""

    REFUSE = "refuse"
    REPLACE = "replace"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the document, and why."""

    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Hopeless:
    """The store cannot serve, so trying other documents is no use; this one is not known to be in it."""

    reason: str


async def settle(
    store: Store, document: Document, existing: Existing, *, is_patient: Callable[[], bool]
) -> Verdict | Hopeless:
    """Take one document. A document with the same content is not written: no revision, no event.

    While the store cannot serve it is asked again, for `PATIENCE_S` and as long as `is_patient()`.
    """
    attempt = _Attempt(store, document, existing)
    deadline = trio.current_time() + PATIENCE_S
    overtaken = 0
    while overtaken < ATTEMPTS:
        try:
            verdict = await attempt.once()
        except (contract.StoreFull, contract.StoreClosed, contract.StoreDamaged) as error:
            return Hopeless(error.reason)
        except contract.StoreUnavailable as error:
            if not is_patient() or trio.current_time() + error.retry_after_s > deadline:
                return Hopeless(f"the store cannot serve: {error.reason}")
            await trio.sleep(error.retry_after_s)
        else:
            if verdict is not None:
                return verdict
            overtaken += 1
    return Verdict(Status.REFUSED, "others keep changing it")


class _Attempt:
    def __init__(self, store: Store, document: Document, existing: Existing) -> None:
        self._store = store
        self._document = document
        self._existing = existing
        self._unknown: Status | None = None  # what a write would have done whose outcome nobody saw

    async def once(self) -> Verdict | None:
        """Return what became of the document; None if somebody else was quicker, so that a new look is due."""
        current = await self._store.get(self._document.kind, self._document.id, with_blobs=True)
        if current is None:
            return await self._write(WriteMode.CREATE, None, Status.TAKEN)
        if same_content(current.body, assemble(self._document)):
            return Verdict(self._unknown) if self._unknown else Verdict(Status.SKIPPED, "same content")
        match self._existing:
            case Existing.REFUSE:
                return Verdict(Status.REFUSED, "exists with other content (see --replace, --skip-existing)")
            case Existing.SKIP:
                return Verdict(Status.SKIPPED, "exists with other content")
            case Existing.REPLACE:
                seen = contract.IfMatch((current.revision,))
                return await self._write(WriteMode.REPLACE, seen, Status.CHANGED)
        assert_never(self._existing)

    async def _write(self, mode: WriteMode, precondition: Precondition | None, status: Status) -> Verdict | None:
        try:
            outcome = await self._store.write(self._document, mode, precondition=precondition)
        except contract.OutcomeUnknown:
            self._unknown = status
            raise
        match outcome:
            case contract.Created() | contract.Replaced():
                return Verdict(status)
            case contract.AlreadyExists() | contract.PreconditionFailed() | contract.NotFound():
                return None
            case (
                contract.Deleted()
                | contract.Replayed()
                | contract.IdempotencyMismatch()
                | contract.IdempotencyRunning()
            ):
                raise AssertionError(f"a write without idempotency key cannot have the outcome {outcome}")
        assert_never(outcome)
