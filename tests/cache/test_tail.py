"""What the tail says of freshness and of what still stands, told by hand."""

import math

import pytest

from titan.cache.key import key_of
from titan.cache.tail import Tail
from titan.store.contract import Change, Changes, ChangeType, Kind, Latest

ONE, TWO = (key_of(Kind.SHELL, name) for name in ("one", "two"))


def change(document_id: str, revision: int, mark: int) -> Change:
    return Change(revision, Kind.SHELL, document_id, ChangeType.UPDATED, 0, mark)


def latest(*items: Change, shows: int = 10, whole_from: int = 0, history: str = "h") -> Latest:
    return Latest(items, "cursor", shows, whole_from, history)


class Told:
    def __init__(self, kept: int = 100) -> None:
        self.now = 100.0
        self.named: list[tuple[bytes, int]] = []
        self.begun = 0
        self.tail = Tail(
            on_named=lambda key, revision: self.named.append((key, revision)),
            on_begin=self._begin,
            kept=kept,
            clock=lambda: self.now,
        )

    def _begin(self) -> None:
        self.begun += 1


@pytest.fixture
def told() -> Told:
    return Told()


def test_nothing_is_fresh_or_stands_before_it_begins(told):
    assert not told.tail.is_fresh
    assert told.tail.lag_s == math.inf
    assert not told.tail.stands(ONE, 5, 10)


def test_freshness_counts_from_when_it_was_asked(told):
    told.tail.begin(latest(), asked_at=100.0)
    told.now = 101.0
    assert told.tail.is_fresh
    told.now = 101.01
    assert not told.tail.is_fresh
    told.tail.follow(Changes((), "c", shows=11), asked_at=100.9)
    assert told.tail.is_fresh
    assert told.tail.lag_s == pytest.approx(0.11)


def test_a_poll_that_did_not_get_to_the_end_makes_nothing_fresh(told):
    told.tail.begin(latest(), asked_at=100.0)
    told.now = 105.0
    told.tail.follow(Changes((change("one", 2, 12),), "c", shows=10, is_last=False), asked_at=105.0)
    assert not told.tail.is_fresh
    assert told.named == [(ONE, 2)]


def test_what_a_change_named_since_does_not_stand(told):
    told.tail.begin(latest(), asked_at=100.0)
    before = told.tail.position
    assert told.tail.vouches(ONE, 1, before)
    told.tail.follow(Changes((change("one", 2, 12),), "c", shows=12), asked_at=100.2)
    assert not told.tail.vouches(ONE, 1, before)
    assert told.tail.vouches(ONE, 2, before)
    assert told.tail.vouches(TWO, 1, before)


def test_a_write_of_our_own_is_known_at_once(told):
    told.tail.begin(latest(), asked_at=100.0)
    before = told.tail.position
    told.tail.note(ONE, 3, 15)
    assert told.named == [(ONE, 3)]
    assert not told.tail.vouches(ONE, 2, before)
    told.tail.follow(Changes((change("one", 2, 12),), "c", shows=12), asked_at=100.2)
    assert not told.tail.vouches(ONE, 2, before)


def test_what_was_before_the_beginning_is_judged_by_what_is_known_of_it(told):
    told.tail.begin(latest(change("one", 7, 8), whole_from=5), asked_at=100.0)
    assert told.tail.stands(ONE, 7, 6)
    assert not told.tail.stands(ONE, 6, 6)
    assert told.tail.stands(TWO, 1, 5)
    assert not told.tail.stands(TWO, 1, 4)  # a change of after 4 may have been forgotten


def test_with_little_room_the_oldest_are_forgotten_and_what_is_older_no_longer_stands():
    told = Told(kept=2)
    told.tail.begin(latest(), asked_at=100.0)
    for number, mark in ((1, 11), (2, 12), (3, 13)):
        told.tail.follow(Changes((change(f"d{number}", 1, mark),), "c", shows=mark), asked_at=100.1)
    assert not told.tail.stands(TWO, 1, 10)
    assert told.tail.stands(TWO, 1, 11)


def test_another_history_ends_every_position_of_before(told):
    told.tail.begin(latest(), asked_at=100.0)
    before = told.tail.position
    told.tail.begin(latest(history="other", shows=4), asked_at=101.0)
    assert told.begun == 2
    assert not told.tail.vouches(ONE, 1, before)
    assert told.tail.history == "other"
    assert told.tail.shows == 4
