"""The judge of ordinary reads and sessions: what it lets pass and what it finds."""

import math

import pytest

from tests.support.linearizable import ABSENT, Action, Delete, Get, Put, Swap
from tests.support.staleness import Operation, gone_back, too_old


def did(action: Action, begun_s: float, ended_s: float | None = None, *, client: int = 0) -> Operation:
    return Operation(client, "one", action, begun_s, begun_s + 0.1 if ended_s is None else ended_s, is_session=True)


def read(value: str | None, begun_s: float, *, client: int = 1) -> Operation:
    return Operation(client, "one", Get(value), begun_s, begun_s + 0.1, is_recent=True, is_session=True)


A, B = did(Put("a", existed=False), 0), did(Put("b", existed=True), 10)
GONE = did(Delete(existed=True), 20)

NEW_ENOUGH = {
    "what is there": [A, read("a", 5)],
    "what was there a second before": [A, B, read("a", 11.0)],
    "what a write that goes on may have replaced": [A, did(Put("b", existed=True), 1, 15), read("a", 15.9)],
    "what a write without an answer may have replaced": [A, did(Put("b", existed=None), 1, math.inf), read("a", 50)],
    "what a write without an answer may have brought": [did(Put("b", existed=None), 1, math.inf), B, read("b", 50)],
    "nothing, before": [read(ABSENT, 0.0), A],
    "nothing, after": [A, GONE, read(ABSENT, 50)],
    "nothing, because of a removal without an answer": [A, did(Delete(existed=None), 2, math.inf), read(ABSENT, 50)],
    "created again a moment ago": [A, GONE, did(Put("c", existed=False), 30), read(ABSENT, 31.0)],
}
TOO_OLD = {
    "replaced": [A, B, read("a", 11.2)],
    "replaced on a condition": [A, did(Swap("a", "b", done=True), 10), read("a", 11.2)],
    "removed": [A, GONE, read("a", 21.2)],
    "created": [A, read(ABSENT, 1.2)],
    "created again": [A, GONE, did(Put("c", existed=False), 30), read(ABSENT, 31.2)],
    "from nowhere": [A, read("x", 0.5)],
    "from the future": [read("a", 0.0), did(Put("a", existed=False), 5)],
}
FORTH = {
    "sees the same again": [A, read("a", 1), read("a", 2)],
    "sees something newer": [A, B, read("a", 10), read("b", 10.2)],
    "sees what is older than another has seen": [A, B, read("b", 10.2), read("a", 10.4, client=2)],
    "sees either of two at once": [
        A,
        did(Put("b", existed=True), 0, client=2),
        read("a", 1),
        read("b", 2),
        read("a", 3),
    ],
    "sees that it is gone": [A, GONE, read("a", 20), read(ABSENT, 20.2)],
    "created it again": [A, GONE, did(Put("c", existed=False), 30), read("c", 30.2, client=0)],
}
BACK = {
    "sees something older": [A, B, read("b", 10.2), read("a", 10.4)],
    "does not see its own write": [A, B, read("a", 10.2, client=0)],
    "does not see its own removal": [A, GONE, read("a", 20.2, client=0)],
    "does not see its own creation": [A, read(ABSENT, 0.2, client=0)],
    "saw it, and it was never gone": [A, read("a", 0.2), read(ABSENT, 0.4)],
    "saw it again, and it was gone before that": [
        *[A, GONE, did(Put("c", existed=False), 30)],
        *[read("c", 30.2), read(ABSENT, 30.4)],
    ],
}


@pytest.mark.parametrize("operations", NEW_ENOUGH.values(), ids=NEW_ENOUGH)
def test_new_enough(operations):
    assert too_old(operations) == []


@pytest.mark.parametrize("operations", TOO_OLD.values(), ids=TOO_OLD)
def test_too_old(operations):
    assert len(too_old(operations)) == 1


@pytest.mark.parametrize("operations", FORTH.values(), ids=FORTH)
def test_a_session_that_does_not_go_back(operations):
    assert gone_back(operations) == []


@pytest.mark.parametrize("operations", BACK.values(), ids=BACK)
def test_a_session_that_goes_back(operations):
    assert len(gone_back(operations)) == 1


def test_who_keeps_no_session_may_go_back():
    alone = [
        Operation(1, "one", Get(value), at_s, at_s + 0.1, is_recent=True) for value, at_s in (("b", 10), ("a", 11))
    ]
    assert gone_back([A, B, *alone]) == []
