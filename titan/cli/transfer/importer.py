"""Taking documents into a store: what becomes of each, and that nothing is written that is there already.

Not promised: all or nothing. Each document is one write; an import that stops half-way has taken what its report says,
and the next one finds that unchanged. Nor the order in which documents of different ids are written.

Promised: of an id that a file gives twice the first counts. Documents of one id are settled in the order of the files,
whatever else is in flight.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

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
)
from titan.cli.transfer.rows import Row, Status
from titan.cli.transfer.settling import Existing, Hopeless, Verdict, settle
from titan.model.documents import Prepared, Unacceptable, prepare
from titan.model.verification import Violation
from titan.store.contract import Kind, Store

IN_FLIGHT: Final = 128
"""Writes at once: enough for the store to commit many with one fsync."""

MAX_IN_FLIGHT_BYTES: Final = 16 * 1024 * 1024
"""Documents waiting for their write, by size; one larger document goes alone."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked of an import."""

    lenient: bool = True
    existing: Existing = Existing.REFUSE


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

        Cancelling cuts off writes in flight, which may be committed or not; `stop` does not.
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
        verdict: Verdict | Hopeless = Hopeless("cut off: it may be in the store or not")
        try:
            verdict = await settle(
                self._store, document, self._policy.existing, is_patient=lambda: self.stopped is None
            )
        finally:
            if isinstance(verdict, Hopeless):
                self.stop(verdict.reason)
                verdict = Verdict(Status.REFUSED, verdict.reason)
            self._record(row(item, verdict.status, verdict.reason, document.id, prepared.violations))
            self._bytes_in_flight -= len(item.raw)
            self._slots.release()
            self._settling.pop((document.kind, document.id)).set()
            self._room.unpark_all()


def row(item: Item, status: Status, reason: str, document_id: str | None, found: tuple[Violation, ...]) -> Row:
    """Report one document."""
    return Row(item.path, status, reason, item.piece.kind, document_id, item.piece.start, found)


def refusal(item: Item, unacceptable: Unacceptable) -> Row:
    """Say of a document that cannot be taken what it is, as far as that can be read off it, and what is wrong."""
    first, *more = unacceptable.violations
    reason = f"{first} (and {len(more)} more)" if more else str(first)
    return row(item, Status.REFUSED, reason, id_of(item.raw), unacceptable.violations)
