"""What to do where two contents differ, and that two servers that ask each other this come to rest."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titan.store.contract import Kind
from titan.store.sync_records import Followed
from titan.sync.content import Verdict, decide, digest_of

ONE, TWO, THREE = (bytes([number]) * 32 for number in (1, 2, 3))


def known(digest: bytes | None = ONE, *, gave_way: bytes | None = None, is_copy: bool = False) -> Followed:
    return Followed(Kind.SHELL, "a", None, digest, gave_way, 1, is_copy)


@pytest.mark.parametrize(
    ("there", "here", "record", "verdict"),
    [
        (ONE, ONE, None, Verdict.EQUAL),
        (ONE, None, None, Verdict.TAKE),
        (ONE, TWO, None, Verdict.TAKE),
        (ONE, ONE, known(TWO), Verdict.EQUAL),
        (ONE, TWO, known(ONE), Verdict.KEEP),  # changed here, at its home
        (ONE, None, known(ONE), Verdict.KEEP),  # deleted here, at its home
        (ONE, TWO, known(ONE, is_copy=True), Verdict.TAKE),
        (ONE, None, known(ONE, is_copy=True), Verdict.TAKE),
        (TWO, ONE, known(ONE), Verdict.TAKE),  # changed there
        (TWO, THREE, known(ONE), Verdict.TAKE),  # changed on both sides
        (ONE, TWO, known(None, is_copy=True), Verdict.TAKE),  # announced, and then somebody else created it
        (ONE, TWO, known(TWO, gave_way=ONE), Verdict.KEEP),  # changed places
        (TWO, ONE, known(ONE, gave_way=TWO), Verdict.TAKE),  # the same on the other side
        (TWO, THREE, known(THREE, gave_way=ONE), Verdict.TAKE),
        (ONE, None, known(TWO, gave_way=ONE, is_copy=True), Verdict.TAKE),
    ],
)
def test_the_table(there, here, record, verdict):
    assert decide(there, here, record) is verdict


@pytest.mark.parametrize(
    "other", [b'{"b":[1,{"d":2,"c":3}],"a":"\\u00c4"}', b' {"a": "\xc3\x84", "b": [1, {"c": 3, "d": 2}]}']
)
def test_equal_is_what_says_the_same(other):
    assert digest_of(b'{"a":"\xc3\x84","b":[1,{"c":3,"d":2}]}') == digest_of(other)


@pytest.mark.parametrize("other", [b'{"a":[2,1]}', b'{"a":[1,2.0]}', b'{"a":["1",2]}', b'{"a":[1,2],"b":null}'])
def test_everything_but_the_order_of_members_counts(other):
    assert digest_of(b'{"a":[1,2]}') != digest_of(other)


@dataclass
class Side:
    """One of two servers with one document, which pulls from the other by the rules of `decide`."""

    here: bytes
    record: Followed | None = None
    writes: int = field(default=0, compare=False)

    def take(self, there: bytes) -> None:
        verdict = decide(there, self.here, self.record)
        is_copy = self.record is not None and self.record.is_copy
        gave_way = None
        if verdict is Verdict.TAKE:
            gave_way = self.here
            self.here = there
            self.writes += 1
        self.record = Followed(Kind.SHELL, "a", None, there, gave_way, 1, is_copy)


orders = st.sampled_from(["a", "b", "both"])
rounds = st.lists(st.lists(orders, max_size=4), min_size=1, max_size=4)
contents = st.permutations([bytes([number]) * 32 for number in range(10, 20)])
"""Each once: going back to what the other one saw last is no change that it could see (`titan.sync` says so)."""


def edited(
    a_copies: bool,  # noqa: FBT001
    b_copies: bool,  # noqa: FBT001
    made: list[bytes],
    between: list[list[str]],
) -> tuple[Side, Side]:
    """Two that held the same once, and were edited on both sides with some pulls after each edit."""
    a, b = Side(ONE, known(ONE, is_copy=a_copies)), Side(ONE, known(ONE, is_copy=b_copies))
    for number, order in enumerate(between):
        a.here, b.here = made[2 * number], made[2 * number + 1]
        for who in order:
            pull(a, b, who)
    return a, b


def assert_at_rest(a: Side, b: Side) -> None:
    a.writes = b.writes = 0
    for who in ("a", "b", "both"):
        pull(a, b, who)
    assert (a.writes, b.writes) == (0, 0)
    assert a.here == b.here


@given(st.booleans(), st.booleans(), contents, rounds, st.lists(orders, min_size=6, max_size=6))
def test_two_that_pull_from_each_other_come_to_rest(a_copies, b_copies, made, between, after):
    a, b = edited(a_copies, b_copies, made, between)
    for who in [*after, "a", "b"]:
        pull(a, b, who)
    assert_at_rest(a, b)


@settings(max_examples=500)
@given(st.booleans(), st.booleans(), contents, rounds)
def test_so_they_do_if_they_always_pull_in_step(a_copies, b_copies, made, between):
    a, b = edited(a_copies, b_copies, made, between)
    for _ in range(5):
        pull(a, b, "both")
    assert_at_rest(a, b)


def test_without_the_rule_for_changed_places_they_would_swap_for_ever():
    """The control: what the last two tests would not notice if it were so is noticed here."""
    a, b = Side(TWO, known(ONE)), Side(THREE, known(ONE))
    for _ in range(10):
        pull(a, b, "both")
        for side in (a, b):
            assert side.record is not None
            side.record = replace(side.record, gave_way=None)
    assert a.here != b.here


def pull(a: Side, b: Side, who: str) -> None:
    seen_by_a, seen_by_b = b.here, a.here
    if who in {"a", "both"}:
        a.take(seen_by_a)
    if who == "b":
        seen_by_b = a.here
    if who in {"b", "both"}:
        b.take(seen_by_b)
