"""An outbox in memory with PostgreSQL's habits: transactions end in any order, every poller has windows of its own.

A cursor stands for the set of changes that its holder was told of, whatever the order was in which they became visible.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import trio

from titan.store.contract import (
    NEWEST,
    Change,
    Changes,
    ChangesGone,
    ChangeType,
    Found,
    Kind,
    Latest,
    Need,
    Stored,
    StoreUnavailable,
)

INSTALLATION = "plant"


class Outbox:
    """Answers what streams, contents and the feed ask of a store."""

    def __init__(self) -> None:
        self.away: str = ""
        """Not empty: nothing can be read, for this reason."""
        self.reads = 0
        self.answers_after_s: Callable[[], float] = lambda: 0.0
        """How long an answer is on its way, while more may happen."""
        self._numbers = itertools.count(1)
        self._begun: dict[int, Change] = {}
        self._committed: dict[int, Change] = {}
        self._cursors: dict[str, tuple[frozenset[int], Sequence[int], int]] = {}
        self._trimmed: frozenset[int] = frozenset()

    def begin(self, document_id: str, kind: Kind = Kind.SUBMODEL) -> int:
        """Write in a transaction that is not over yet; return its number."""
        number = next(self._numbers)
        self._begun[number] = Change(number, kind, document_id, ChangeType.UPDATED, 1000 * number, number)
        return number

    def commit(self, number: int) -> None:
        """End it."""
        self._committed[number] = self._begun.pop(number)

    def write(self, document_id: str, kind: Kind = Kind.SUBMODEL) -> int:
        """Do both."""
        number = self.begin(document_id, kind)
        self.commit(number)
        return number

    def all(self) -> set[tuple[str, int]]:
        """Return id and revision of every change."""
        return {(change.id, change.revision) for change in self._committed.values()}

    def trim(self) -> None:
        """Forget everything that was committed: a cursor that has not been told of it is gone."""
        self._trimmed = frozenset(self._committed)

    def _cursor(self, told: frozenset[int], new: Sequence[int] = (), count: int = 0) -> str:
        """Return a cursor behind what was told and the first of what is new."""
        cursor = f"c{len(self._cursors)}"
        self._cursors[cursor] = (told, new, count)
        return cursor

    def _told(self, cursor: str | None) -> frozenset[int] | None:
        if cursor is None:
            return self._trimmed
        if cursor not in self._cursors:
            return None
        told, new, count = self._cursors[cursor]
        return told.union(new[:count])

    @property
    def _shows(self) -> int:
        return min(self._begun, default=max(self._committed, default=0) + 1) - 1

    def _ask(self) -> None:
        self.reads += 1
        if self.away:
            raise StoreUnavailable(self.away)

    async def changes(self, *, after: str | None = None, limit: int = 1000) -> Changes | ChangesGone:
        self._ask()
        told = self._told(after)
        if told is None or not self._trimmed <= told:
            return ChangesGone()
        new = sorted(self._committed.keys() - told)
        items = []
        for place, number in enumerate(new[:limit]):
            items.append(replace(self._committed[number], cursor=self._cursor(told, new, place + 1)))
        is_last = len(new) <= limit
        behind = self._cursor(told, new, limit)
        shows = self._shows if is_last else min(items[-1].mark, self._shows)
        await trio.sleep(self.answers_after_s())
        return Changes(tuple(items), behind, shows=shows, is_last=is_last)

    async def latest(self, _limit: int = 0) -> Latest:
        self._ask()
        cursor = self._cursor(frozenset(self._committed))
        return Latest((), cursor, self._shows, 0, "history", INSTALLATION)

    async def find(self, kind: Kind, document_id: str, *, with_blobs: bool = False, need: Need = NEWEST) -> Found:
        del with_blobs, need
        self._ask()
        changes = [each for each in self._committed.values() if (each.kind, each.id) == (kind, document_id)]
        newest = max(changes, key=lambda change: change.revision)
        body = b'{"id":"%b","revision":%d}' % (document_id.encode(), newest.revision)
        return Found(Stored(document_id, newest.revision, newest.modified_ms, body), newest.mark)
