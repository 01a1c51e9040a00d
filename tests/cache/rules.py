"""The rules that keep reads right, each taken out by a patch: what tests must then find is a wrong read."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from titan.cache.memory import Memory
from titan.cache.store import CoherentStore
from titan.cache.tail import Position, Tail
from titan.store.postgres import changes
from titan.store.postgres.snapshots import Cursor, Snapshot


def _stands_unless_forgotten(self: Tail, _key: bytes, _revision: int, shown: int) -> bool:
    return shown >= self._whole_from


def _stands_unless_named(self: Tail, key: bytes, revision: int, _shown: int) -> bool:
    return self._named.get(key, (0, 0))[0] <= revision


def _vouches_in_any_life(self: Tail, key: bytes, revision: int, since: Position) -> bool:
    return self.stands(key, revision, since.shows)


_follow, _advance = Tail.follow, Cursor.advance


def _follow_from_the_answer_on(self: Tail, some: Any, _asked_at: float) -> None:
    _follow(self, some, self.now())


def _advance_to_the_end(self: Cursor, identity: bytes, now: Snapshot, *args: Any, **more: Any) -> Any:
    window, cursor = _advance(self, identity, now, *args, **more)
    return window, replace(cursor, seen=Snapshot(cursor.seen.xmax, cursor.seen.xmax))


CONTROLS: Mapping[str, AbstractContextManager[object]] = {
    "named since": patch.object(Tail, "stands", _stands_unless_forgotten),
    "forgotten": patch.object(Tail, "stands", _stands_unless_named),
    "life": patch.object(Tail, "vouches", _vouches_in_any_life),
    "fresh": patch.object(Tail, "is_fresh", property(lambda _: True)),
    "asked": patch.object(Tail, "follow", _follow_from_the_answer_on),
    "history": patch.object(CoherentStore, "_may_be_used", property(lambda self: self._tail.is_fresh)),
    "session": patch.object(CoherentStore, "_shows", lambda *_: True),
    "late": patch.object(Cursor, "advance", _advance_to_the_end),
    "lasting": patch.object(changes, "_lasting", lambda now, *_: now),
    "named": patch.object(Memory, "named", lambda *_: None),
    "cleared": patch.object(Memory, "clear", lambda *_: None),
}
