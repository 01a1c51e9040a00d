"""What this instance knows of the changes made anywhere: how fresh that is, and what was named of late.

Pure state: the actor that polls (`supervisors.actors.change_feed`) tells it what it learned and when it had asked.

An entry of a cache was read at a snapshot that showed everything up to some mark. It still stands if every change
after that mark is known here and none of them made a newer revision of the document. So the tail keeps what each
change named, as far back as it has room, and knows from which mark on that is complete.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from titan.cache.key import key_of
from titan.store.contract import Change, Changes, Latest

BOUND_S = 1.0
"""How old what is told may be (architecture 4.5)."""

KEPT = 20_000
"""How many documents' last changes are kept: about 5 MB, and what an entry of Redis may be behind by."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the tail was before a read began: which life of it, and what any read from then on shows."""

    life: int
    shows: int


class Tail:
    """Not fresh until it is told something; see the module."""

    def __init__(
        self,
        *,
        on_named: Callable[[bytes, int], None],
        on_begin: Callable[[], None],
        bound_s: float = BOUND_S,
        kept: int = KEPT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_named` is called with each change's key and revision, `on_begin` when nothing known before counts."""
        self.history = ""
        self.shows = 0
        """Every change up to this mark is known."""
        self.as_of = -math.inf
        """When the last poll that told everything was sent, on `clock`."""
        self._life = 0
        self._whole_from = math.inf
        self._named: dict[bytes, tuple[int, int]] = {}  # key: revision and mark, in the order of naming
        self._on_named = on_named
        self._on_begin = on_begin
        self._bound_s = bound_s
        self._kept = kept
        self._clock = clock

    def now(self) -> float:
        """Return the time that `asked_at` is told in."""
        return self._clock()

    @property
    def lag_s(self) -> float:
        """Return how old what is known is, at most; `inf` before the first poll."""
        return self._clock() - self.as_of

    @property
    def is_fresh(self) -> bool:
        """Say whether caches may be used."""
        return self._clock() - self.as_of <= self._bound_s

    @property
    def position(self) -> Position:
        """Return what a read that begins now will show at least."""
        return Position(self._life, self.shows)

    def begin(self, latest: Latest, asked_at: float) -> None:
        """Start anew from the newest changes: at the first poll, and where the history is another one."""
        self._life += 1
        self._named.clear()
        self._on_begin()
        self.history = latest.history
        self.shows = latest.shows
        self._whole_from = latest.whole_from
        for change in sorted(latest.items, key=lambda change: change.mark):
            self._keep(key_of(change.kind, change.id), change.revision, change.mark)
        self.as_of = asked_at

    def follow(self, changes: Changes, asked_at: float) -> None:
        """Take in what a poll told."""
        for change in changes.items:
            self.name(change)
        self.shows = max(self.shows, changes.shows)
        if changes.is_last:
            self.as_of = asked_at

    def name(self, change: Change) -> None:
        """Take in one change."""
        self.note(key_of(change.kind, change.id), change.revision, change.mark)

    def note(self, key: bytes, revision: int, mark: int) -> None:
        """Know that a document has this revision, by a change or by a write of our own."""
        self._on_named(key, revision)
        self._keep(key, revision, mark)

    def vouches(self, key: bytes, revision: int, since: Position) -> bool:
        """Say whether what was read after that position, at this revision, still stands."""
        return since.life == self._life and self.stands(key, revision, since.shows)

    def stands(self, key: bytes, revision: int, shown: int) -> bool:
        """Say whether what was read where `shown` was shown, at this revision, still does."""
        if shown < self._whole_from:
            return False
        named = self._named.get(key)
        return named is None or named[0] <= revision

    def _keep(self, key: bytes, revision: int, mark: int) -> None:
        before = self._named.pop(key, (0, 0))
        self._named[key] = (max(revision, before[0]), max(mark, before[1]))
        if len(self._named) > self._kept:
            oldest = next(iter(self._named))
            _, gone = self._named.pop(oldest)
            self._whole_from = max(self._whole_from, gone)
