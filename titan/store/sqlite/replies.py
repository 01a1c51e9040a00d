"""From the writer process' replies to the contract's outcomes and errors, and from preconditions to requests."""

from typing import Any, assert_never

from titan.store.contract import (
    AlreadyExists,
    Created,
    Deleted,
    Deposed,
    Done,
    Fence,
    IdempotencyMismatch,
    IfMatch,
    IfNoneMatch,
    NotFound,
    OutcomeUnknown,
    Precondition,
    PreconditionFailed,
    Replaced,
    Replayed,
    StoreDamaged,
    StoreFull,
    StoreUnavailable,
    WriteOutcome,
)
from titan.store.sqlite import wire


def condition(precondition: Precondition | None) -> tuple[int, ...] | None:
    """Return a precondition as it goes to the writer process."""
    match precondition:
        case None:
            return None
        case IfMatch(revisions):
            return (wire.IF_MATCH, *revisions)
        case IfNoneMatch(revisions):
            return (wire.IF_NONE_MATCH, *revisions)
    assert_never(precondition)


def fence_code(fence: Fence | None) -> tuple[str, int] | None:
    """Return a fence as it goes to the writer process."""
    return None if fence is None else (fence.role, fence.epoch)


def outcome(reply: tuple[Any, ...]) -> WriteOutcome:
    """Return what became of a write. Raises what the contract has for a store that cannot serve."""
    match reply:
        case (wire.CREATED | wire.REPLACED | wire.DELETED, _, _):
            return _done(*reply)
        case (wire.REPLAYED, first, revision, modified_ms):
            return Replayed(_done(first, revision, modified_ms))
        case (wire.ALREADY_EXISTS, revision):
            return AlreadyExists(revision)
        case (wire.NOT_FOUND,):
            return NotFound()
        case (wire.PRECONDITION_FAILED, revision):
            return PreconditionFailed(revision)
        case (wire.IDEMPOTENCY_MISMATCH,):
            return IdempotencyMismatch()
    raise failure(*reply)


def failure(code: int, reason: str, *rest: int) -> Exception:
    """Return the exception for a reply that says that nothing was done."""
    match code:
        case wire.DEPOSED:
            epoch, current = rest
            return Deposed(Fence(reason, epoch), current)
        case wire.FULL:
            return StoreFull(reason)
        case wire.UNAVAILABLE:
            return StoreUnavailable(reason)
        case wire.UNKNOWN:
            return OutcomeUnknown(reason)
        case wire.DAMAGED:
            return StoreDamaged(reason)
    return ValueError(reason)


def _done(code: int, revision: int, modified_ms: int) -> Done:
    if code == wire.DELETED:
        return Deleted(revision)
    return Created(revision, modified_ms) if code == wire.CREATED else Replaced(revision, modified_ms)
