"""PostgreSQL as far as coherence goes: numbers, snapshots, locks, transactions that end in any order, the outbox.

The statements of reads and of the feed are answered from here, what is around them (cursors, marks, pages) is the real
code. Writes are modelled as a whole. `PLAN` says where a call of the running task stops until somebody lets it go on.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from titan.store.codes import KIND
from titan.store.contract import (
    Created,
    Deleted,
    Document,
    Done,
    Idempotency,
    Kind,
    NotFound,
    OutcomeUnknown,
    Replaced,
    Replayed,
    StoreUnavailable,
    WriteOutcome,
)
from titan.store.postgres import changes, reads, writes
from titan.store.postgres.codes import CREATED, DELETED, REPLACED, digest
from titan.store.postgres.snapshots import Snapshot

KIND_USED = Kind.SHELL


@dataclass(slots=True)
class Plan:
    """Where a task stops, and whether the answer to its first write is lost."""

    stops: frozenset[str] = frozenset()
    loses_answer: bool = False


PLAN: ContextVar[Plan] = ContextVar("PLAN")


class Gates:
    """Tasks that stopped, in the order in which they did."""

    def __init__(self) -> None:
        self._waiting: list[trio.Event] = []
        self._are_gone = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def stop(self, where: str) -> None:
        """Wait to be let go on, if the running task is to stop there."""
        if self._are_gone or where not in PLAN.get().stops:
            return
        gate = trio.Event()
        self._waiting.append(gate)
        try:
            await gate.wait()
        finally:
            self._waiting.remove(gate)

    def open(self, number: int) -> None:
        """Let one go on."""
        if self._waiting:
            self._waiting[number % len(self._waiting)].set()

    def open_all(self) -> None:
        """Let all go on that have stopped by now."""
        for gate in self._waiting:
            gate.set()

    def remove(self) -> None:
        """Have nobody stop any more: also what is shielded can end then."""
        self._are_gone = True
        self.open_all()


@dataclass(frozen=True, slots=True)
class Version:
    """A row of the outbox, and the document as it was from then on (None: gone)."""

    xid: int
    revision: int
    id: str
    code: int
    body: bytes | None


@dataclass(slots=True)
class ModelPostgres:
    """One server; `history` counts its promotions and restores."""

    on_state: Callable[[str, Version | None], None]
    """Called with each document whose newest version is another one now."""
    history: int = 1
    next_xid: int = 100
    completed: int = 99
    revision: int = 0
    running: set[int] = field(default_factory=set)
    versions: list[Version] = field(default_factory=list)
    """Committed ones, in the order of their commits."""
    outbox: list[Version] = field(default_factory=list)
    trimmed: int | None = None
    gates: Gates = field(default_factory=Gates)
    _records: dict[bytes, Done] = field(default_factory=dict)
    _locks: dict[str, trio.Lock] = field(default_factory=lambda: defaultdict(trio.Lock))

    def snapshot(self) -> Snapshot:
        """Return what is visible now."""
        xmax = self.completed + 1
        running = tuple(sorted(xid for xid in self.running if xid < xmax))
        return Snapshot(running[0] if running else xmax, xmax, running)

    def current(self, document_id: str) -> Version | None:
        """Return the newest version of a document that is there."""
        newest = None
        for version in self.versions:  # of one document they are committed in the order of their numbers
            if version.id == document_id:
                newest = version
        return None if newest is None or newest.body is None else newest

    def begin(self) -> int:
        """Give a transaction its number."""
        xid, self.next_xid = self.next_xid, self.next_xid + 1
        self.running.add(xid)
        return xid

    def end(self, xid: int, version: Version | None = None) -> None:
        """Commit what it made, or roll it back."""
        self.running.discard(xid)
        self.completed = max(self.completed, xid)
        if version is not None:
            self.versions.append(version)
            self.outbox.append(version)
            self.on_state(version.id, self.current(version.id))

    def trim(self) -> None:
        """Forget the changes of before."""
        self.trimmed = max([self.trimmed or 0, *(row.xid for row in self.outbox)])
        self.outbox.clear()

    @property
    def highest(self) -> int:
        """The highest number of a committed transaction; nothing above it is on disk yet."""
        return max((version.xid for version in self.versions), default=0)

    def crash(self) -> None:
        """Die and come back: what is not committed is gone, and its numbers, if they are the last, come again."""
        self.running.clear()
        self.next_xid = max(self.highest + 1, 100)
        self.completed = self.next_xid - 1

    def promote(self, lost: int) -> None:
        """Go on as a standby that had not got the last transactions; numbers of theirs come again, revisions do not."""
        self.history += 1
        kept = self.versions[: max(len(self.versions) - lost, 0)]
        changed = {version.id for version in self.versions[len(kept) :]}
        self.next_xid = max([self.next_xid - len(self.running) - lost, 100, *(row.xid + 1 for row in kept)])
        self.completed = self.next_xid - 1
        self.running.clear()
        self.versions, self.outbox = kept, [row for row in self.outbox if row in kept]
        self.revision += 32
        self.trimmed = None if self.trimmed is None else min(self.trimmed, self.completed)
        self._records.clear()
        for document_id in changed:
            self.on_state(document_id, self.current(document_id))

    async def write(
        self, link: "Link", document_id: str, body: bytes | None, idempotency: Idempotency | None
    ) -> WriteOutcome:
        """Write a document, or with None delete it."""
        spell = link.spell
        if idempotency is not None and idempotency.scope in self._records:
            await self.gates.stop("again")
        async with self._locks[document_id]:
            link.check(spell)
            first = None if idempotency is None else self._records.get(idempotency.scope)
            if first is not None:
                return Replayed(first, mark=self.completed)
            before = self.current(document_id)
            if before is None and body is None:
                return NotFound(mark=self.completed)
            code = DELETED if body is None else CREATED if before is None else REPLACED
            xid = self.begin()
            self.revision += 1
            version = Version(xid, self.revision, document_id, code, body)
            try:
                await self.gates.stop("commit")
            except trio.Cancelled:
                self.end(xid)
                raise
            link.check(spell, OutcomeUnknown)
            self.end(xid, version)
        outcome = _outcome(version)
        if idempotency is not None:
            self._records[idempotency.scope] = replace(outcome, mark=0)
        await self.gates.stop("answer")
        link.check(spell, OutcomeUnknown)
        if PLAN.get().loses_answer:
            PLAN.get().loses_answer = False
            raise OutcomeUnknown("lost")
        return outcome


def _outcome(version: Version) -> Done:
    match version.code:
        case code if code == DELETED:
            return Deleted(version.revision, mark=version.xid)
        case code if code == CREATED:
            return Created(version.revision, 0, mark=version.xid)
    return Replaced(version.revision, 0, mark=version.xid)


@dataclass(slots=True)
class Link:
    """An instance's connections."""

    postgres: ModelPostgres
    history: str = ""
    spell: int = 0
    is_up: bool = False

    async def connect(self) -> None:
        """Find the server."""
        session = ModelSession(self.postgres)
        self.history = (await changes.latest(session, 0)).history  # type: ignore[arg-type]
        self.is_up = True

    def lose(self) -> None:
        """Have what runs fail, and all that comes until `connect`."""
        self.spell += 1
        self.is_up = False

    def check(self, spell: int, error: type[StoreUnavailable] = StoreUnavailable) -> None:
        """Raise that where the connection is not what it was."""
        if not self.is_up or self.spell != spell:
            raise error("the connection is lost")

    async def use(self, function: Callable[..., Awaitable[Any]], args: Sequence[Any]) -> Any:
        """Do what `PostgresStore` wants to have done on the island."""
        await trio.lowlevel.checkpoint()
        spell = self.spell
        self.check(spell)
        if function is writes.write:
            document, _, _, idempotency, _ = args
            assert isinstance(document, Document)
            return await self.postgres.write(self, document.id, document.header, idempotency)
        if function is writes.delete:
            return await self.postgres.write(self, args[1], None, None)
        await self.postgres.gates.stop("before")
        self.check(spell)
        answer = await function(ModelSession(self.postgres), *args)
        await self.postgres.gates.stop("after")
        self.check(spell)
        await self.postgres.gates.stop("late")  # the answer is here, and its reader slow
        return answer


class ModelSession:
    """Answers the statements of reads and of the feed, each at one snapshot."""

    def __init__(self, postgres: ModelPostgres) -> None:
        self._postgres = postgres

    async def read_row(self, sql: str, *args: Any) -> dict[str, Any]:
        """Read one document."""
        assert sql in reads._GET.values()
        row: dict[str, Any] = dict.fromkeys(("id", "revision", "modified_ms", "has_elements", "header", "xid"))
        row["horizon"] = self._postgres.snapshot().xmax
        for document_id in {version.id for version in self._postgres.versions}:
            version = self._postgres.current(document_id)
            if version is not None and digest(document_id) == args[1]:
                row |= {"id": document_id, "revision": version.revision, "modified_ms": 0, "has_elements": False}
                row |= {"header": version.body, "xid": version.xid & 0xFFFFFFFF}
        return row

    async def read_rows(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        """Read the outbox."""
        if sql == changes._LATEST:
            found = sorted(self._postgres.outbox, key=lambda row: -row.xid)[: args[0]]
        else:
            assert sql == changes._TELL
            seen, telling, after, limit = args
            found = [row for row in self._postgres.outbox if row.revision > after and not _sees(seen, row)]
            found = [row for row in found if telling is None or _sees(telling, row)]
            found = sorted(found, key=lambda row: row.revision)[:limit]
        here = {
            "snapshot": str(self._postgres.snapshot()),
            "trimmed": self._postgres.trimmed,
            "committed": self._postgres.highest,
            **dict.fromkeys(("system", "outbox", "identity"), 1),
            "timeline": self._postgres.history,
        }
        return [here | _outbox_row(row) for row in found] or [here | _outbox_row(None)]


def _sees(snapshot: str, row: Version) -> bool:
    return Snapshot.parse(snapshot).sees(row.xid)


def _outbox_row(row: Version | None) -> dict[str, Any]:
    if row is None:
        return dict.fromkeys(("xid", "revision", "kind", "type", "modified_ms", "id"))
    return {
        "xid": row.xid,
        "revision": row.revision,
        "kind": KIND[KIND_USED],
        "type": row.code,
        "modified_ms": 0,
        "id": row.id,
    }
