"""Taking documents into a store: what becomes of each, and that nothing is written that is there already.

Not promised: all or nothing. Each document is one write; an import that stops half-way has taken what its report says,
and the next one finds that unchanged.

Promised: of an id that a file gives twice the first counts. Documents of one id are settled in the order of the files,
whatever else is in flight. A document with the same content is not written: no revision, no event.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

import trio

from titan.cli.transfer.files import Found
from titan.cli.transfer.reading import (
    Item,
    RejectedFile,
    RejectedItem,
    Repeat,
    Repeats,
    Source,
    id_of,
    open_source,
    same_content,
)
from titan.cli.transfer.rows import Row, Status
from titan.model.documents import Prepared, Unacceptable, assemble, prepare
from titan.model.verification import Violation
from titan.store import contract
from titan.store.contract import Document, Kind, Store, WriteMode

IN_FLIGHT: Final = 128
"""Writes at once: enough for the store to commit many with one fsync."""

MAX_IN_FLIGHT_BYTES: Final = 16 * 1024 * 1024
"""Documents waiting for their write, by size; one larger document goes alone."""

PATIENCE_S: Final = 30.0
"""How long a store that cannot serve (a lock held by another process, say) is asked again before the import stops."""

_ATTEMPTS: Final = 10  # others may write the same document between our look and our write, but not for ever


class Existing(StrEnum):
    """What to do with a document that exists with other content."""

    REFUSE = "refuse"
    REPLACE = "replace"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked of an import."""

    lenient: bool = True
    existing: Existing = Existing.REFUSE


@dataclass(frozen=True, slots=True)
class _Verdict:
    status: Status
    reason: str = ""


class Importer:
    """One import. `record` is called once for every document and for every file that gives none."""

    def __init__(self, store: Store, policy: Policy, record: Callable[[Row], None]) -> None:
        self.stopped: str | None = None
        """Why it stopped before the end; None while nothing asked it to."""
        self._beginning = trio.CancelScope()
        self._store = store
        self._policy = policy
        self._record = record
        self._slots = trio.Semaphore(IN_FLIGHT)
        self._bytes_in_flight = 0
        self._settling: dict[tuple[Kind, str], trio.Event] = {}
        self._room = trio.lowlevel.ParkingLot()  # where the next document waits for bytes in flight to become fewer

    def stop(self, reason: str) -> None:
        """Begin no further document; those begun are settled."""
        self.stopped = self.stopped or reason
        self._beginning.cancel()

    async def run(self, files: Iterable[Found], advance: Callable[[int], None]) -> None:
        """Take every document of the files; `advance` is told the bytes dealt with.

        Cancelling leaves writes in flight that may or may not be committed; `stop` does not.
        """
        async with trio.open_nursery() as nursery:
            with self._beginning:
                for found in files:
                    # In a thread, so that a signal gets through while a large file is looked at.
                    source = await trio.to_thread.run_sync(open_source, found, abandon_on_cancel=True)
                    if isinstance(source, RejectedFile):
                        self._record(Row(source.path, Status.REFUSED, source.reason))
                    else:
                        await self._take(source, nursery, advance)

    async def _take(self, source: Source, nursery: trio.Nursery, advance: Callable[[int], None]) -> None:
        repeats = Repeats(source)
        try:
            for item in source:
                await self._take_one(item, repeats, nursery)
                advance(item.piece.size)
        finally:
            source.close()

    async def _take_one(self, item: Item | RejectedItem, repeats: Repeats, nursery: trio.Nursery) -> None:
        await trio.lowlevel.checkpoint()  # parsing does not wait for anything; signals and the writes in flight do
        if isinstance(item, RejectedItem):
            self._record(Row(item.path, Status.REFUSED, item.reason, item.piece.kind, at=item.piece.start))
            return
        prepared = prepare(item.piece.kind, item.raw, lenient=self._policy.lenient)
        if isinstance(prepared, Unacceptable):
            self._record(refusal(item, prepared))
            return
        document = prepared.document
        repeat = repeats.judge(item, document.id)
        if repeat is not None:
            status = Status.SKIPPED if repeat is Repeat.SAME else Status.REFUSED
            self._record(row(item, status, repeat, document.id, prepared.violations))
            return
        await self._admit((document.kind, document.id), len(item.raw))
        nursery.start_soon(self._settle, item, prepared)

    async def _admit(self, key: tuple[Kind, str], size: int) -> None:
        """Wait until the document may be begun, and count it in."""
        while (busy := self._settling.get(key)) is not None:
            await busy.wait()
        while self._bytes_in_flight and self._bytes_in_flight + size > MAX_IN_FLIGHT_BYTES:
            await self._room.park()
        await self._slots.acquire()
        self._settling[key] = trio.Event()
        self._bytes_in_flight += size

    async def _settle(self, item: Item, prepared: Prepared) -> None:
        document = prepared.document
        key = (document.kind, document.id)
        try:
            verdict = await self._patiently(document)
            self._record(row(item, verdict.status, verdict.reason, document.id, prepared.violations))
        finally:
            self._bytes_in_flight -= len(item.raw)
            self._slots.release()
            self._settling.pop(key).set()
            self._room.unpark_all()

    async def _patiently(self, document: Document) -> _Verdict:
        """Settle a document, again while the store cannot serve; give up on the whole import when it stays so."""
        deadline = trio.current_time() + PATIENCE_S
        while True:
            try:
                return await self._decide(document)
            except (contract.StoreFull, contract.StoreDamaged) as error:
                self.stop(error.reason)
                return _Verdict(Status.REFUSED, error.reason)
            except contract.StoreUnavailable as error:
                if self.stopped is not None or trio.current_time() + error.retry_after_s > deadline:
                    self.stop(f"the store cannot serve: {error.reason}")
                    return _Verdict(Status.REFUSED, error.reason)
                await trio.sleep(error.retry_after_s)

    async def _decide(self, document: Document) -> _Verdict:
        for _ in range(_ATTEMPTS):
            current = await self._store.get(document.kind, document.id, with_blobs=True)
            if current is None:
                outcome = await self._store.write(document, WriteMode.CREATE)
            elif same_content(current.body, assemble(document)):
                return _Verdict(Status.SKIPPED, "same content")
            elif self._policy.existing is Existing.REFUSE:
                return _Verdict(Status.REFUSED, "exists with other content (see --replace, --skip-existing)")
            elif self._policy.existing is Existing.SKIP:
                return _Verdict(Status.SKIPPED, "exists with other content")
            else:
                unchanged = contract.IfMatch((current.revision,))
                outcome = await self._store.write(document, WriteMode.REPLACE, precondition=unchanged)
            verdict = _verdict(outcome)
            if verdict is not None:
                return verdict
        return _Verdict(Status.REFUSED, "others keep changing it")


def row(item: Item, status: Status, reason: str, document_id: str | None, found: tuple[Violation, ...]) -> Row:
    """Report one document."""
    return Row(item.path, status, reason, item.piece.kind, document_id, item.piece.start, found)


def refusal(item: Item, unacceptable: Unacceptable) -> Row:
    """Say of a document that cannot be taken what it is, as far as that can be read off it, and what is wrong."""
    first, *more = unacceptable.violations
    reason = f"{first} (and {len(more)} more)" if more else str(first)
    return row(item, Status.REFUSED, reason, id_of(item.raw), unacceptable.violations)


def _verdict(outcome: contract.WriteOutcome) -> _Verdict | None:
    """Turn the store's answer into ours; None: somebody else was quicker, look again."""
    match outcome:
        case contract.Created():
            return _Verdict(Status.TAKEN)
        case contract.Replaced():
            return _Verdict(Status.CHANGED)
        case contract.AlreadyExists() | contract.PreconditionFailed() | contract.NotFound():
            return None
        case contract.Deleted() | contract.Replayed() | contract.IdempotencyMismatch() | contract.IdempotencyRunning():
            raise AssertionError(f"a write without idempotency key cannot have the outcome {outcome}")
        case _:
            assert_never(outcome)
