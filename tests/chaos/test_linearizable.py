"""The checker of histories: what it lets pass, what it finds, that it agrees with trying everything, that it ends."""

import itertools
import math
import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.linearizable import (
    ABSENT,
    IMPOSSIBLE,
    Action,
    Call,
    Delete,
    Get,
    Impossible,
    Put,
    State,
    Swap,
    TooLarge,
    Verdict,
    after,
    check,
)


def in_turn(*actions: Action) -> list[Call]:
    """Each call after the end of the one before."""
    return [Call(action, 2.0 * number, 2.0 * number + 1) for number, action in enumerate(actions)]


def verdict(*calls: Call) -> Verdict:
    return check(calls).verdict


GOOD = {
    "nothing happened": [],
    "a life": in_turn(
        Get(ABSENT),
        Put("a", existed=False),
        Get("a"),
        Put("b", existed=True),
        Delete(existed=True),
        Delete(existed=False),
    ),
    "a condition that holds, and one that does not": in_turn(
        Put("a", existed=False), Swap("a", "b", done=True), Swap("a", "c", done=False), Get("b")
    ),
    "a read beside a write may be before it": [Call(Put("a", existed=False), 0, 3), Call(Get(ABSENT), 1, 2)],
    "a read beside a write may be after it": [Call(Put("a", existed=False), 0, 3), Call(Get("a"), 1, 2)],
    "two writes at once, the first to end is overwritten": [
        Call(Put("a", existed=False), 0, 2),
        Call(Put("b", existed=True), 1, 3),
        Call(Get("b"), 4, 5),
    ],
    "a write without an answer that never was": [Call(Put("a", existed=None), 0), Call(Get(ABSENT), 1, 2)],
    "a write without an answer that took effect late": [
        Call(Put("a", existed=None), 0),
        *[Call(Get(ABSENT), 1, 2), Call(Get("a"), 3, 4)],
    ],
    "a removal without an answer, seen by a creation": [
        Call(Put("a", existed=False), 0, 1),
        *[Call(Delete(existed=None), 2), Call(Put("b", existed=False), 3, 4)],
    ],
    "one unanswered write on top of another": [
        Call(Put("a", existed=None), 0),
        *[Call(Swap("a", "b", done=None), 1), Call(Get("b"), 2, 3)],
    ],
    "a failed condition because of an unanswered write": [
        Call(Put("a", existed=False), 0, 1),
        *[Call(Put("b", existed=None), 2), Call(Swap("a", "c", done=False), 3, 4), Call(Get("b"), 5, 6)],
    ],
}

BAD = {
    "an acknowledged write is lost": in_turn(Put("a", existed=False), Get(ABSENT)),
    "an acknowledged replacement is lost": in_turn(Put("a", existed=False), Put("b", existed=True), Get("a")),
    "a stale read": in_turn(Put("a", existed=False), Put("b", existed=True), Get("b"), Get("a")),
    "a value from nowhere": in_turn(Put("a", existed=False), Get("b")),
    "a removed document is back": in_turn(Put("a", existed=False), Delete(existed=True), Get("a")),
    "two of two conditional writes on one revision won": [
        *in_turn(Put("a", existed=False)),
        Call(Swap("a", "b", done=True), 4, 6),
        Call(Swap("a", "c", done=True), 5, 7),
    ],
    "a condition failed although it held": in_turn(Put("a", existed=False), Swap("a", "b", done=False)),
    "a replacement of nothing": in_turn(Put("a", existed=True)),
    "reads beside one write go back": [
        Call(Put("a", existed=False), 0, 9),
        *[Call(Get("a"), 1, 2), Call(Get(ABSENT), 3, 4)],
    ],
    "an unanswered write seen before it began": [Call(Get("a"), 0, 1), Call(Put("a", existed=None), 2)],
    "an unanswered write that took effect twice": [
        Call(Put("a", existed=None), 0),
        *[Call(Get("a"), 1, 2), Call(Put("b", existed=True), 3, 4), Call(Get("a"), 5, 6)],
    ],
}


@pytest.mark.parametrize("calls", GOOD.values(), ids=GOOD.keys())
def test_finds_an_order_where_there_is_one(calls):
    assert verdict(*calls) is Verdict.LINEARIZABLE


@pytest.mark.parametrize("calls", BAD.values(), ids=BAD.keys())
def test_finds_that_there_is_none(calls):
    assert verdict(*calls) is Verdict.VIOLATION


def test_says_how_far_an_order_goes_and_what_cannot_follow():
    calls = in_turn(Put("a", existed=False), Put("b", existed=True), Get("a"))

    judgement = check(calls)

    assert list(judgement.order) == calls[:2]
    assert list(judgement.stuck_on) == calls[2:]


# --- against trying everything ---


def possible(calls: Sequence[Call], state: State | Impossible = ABSENT) -> bool:
    """Say whether the calls in this order explain all answers; an unanswered one without effect changes nothing."""
    for call in calls:
        assert not isinstance(state, Impossible)
        following = after(call.action, state)
        if following is IMPOSSIBLE and call.is_answered:
            return False
        state = state if following is IMPOSSIBLE else following
    return True


def keeps_time(calls: tuple[Call, ...]) -> bool:
    return all(later.ended_s >= earlier.begun_s for earlier, later in itertools.combinations(calls, 2))


def has_order(calls: list[Call]) -> bool:
    """Try every subset of the unanswered calls in every order."""
    answered = [call for call in calls if call.is_answered]
    unanswered = [call for call in calls if not call.is_answered]
    chosen = itertools.chain.from_iterable(
        itertools.combinations(unanswered, count) for count in range(len(unanswered) + 1)
    )
    return any(
        keeps_time(order) and possible(order) for some in chosen for order in itertools.permutations([*answered, *some])
    )


VALUES = st.sampled_from("abc")
ACTIONS = st.one_of(
    st.builds(Get, st.sampled_from(["a", "b", "c", ABSENT])),
    st.builds(Put, VALUES, st.booleans()),
    st.builds(Delete, st.booleans()),
    st.builds(Swap, VALUES, VALUES, st.booleans()),
)
UNANSWERED = st.one_of(
    st.builds(Put, VALUES, st.none()), st.builds(Delete, st.none()), st.builds(Swap, VALUES, VALUES, st.none())
)
TIMES = st.integers(0, 8)
CALLS = st.one_of(
    st.builds(lambda action, begun, took: Call(action, begun, begun + took), ACTIONS, TIMES, st.integers(0, 4)),
    st.builds(lambda action, begun: Call(action, begun, math.inf), UNANSWERED, TIMES),
)


@settings(max_examples=600, deadline=None)
@given(st.lists(CALLS, max_size=6))
def test_agrees_with_trying_everything(calls):
    assert (check(calls).verdict is Verdict.LINEARIZABLE) == has_order(calls)


# --- how long it takes ---


def simulated(seed: int, *, calls: int, clients: int, unanswered: float) -> list[Call]:
    """A history of a register that is right: each call takes effect at one moment between its begin and its end."""
    rng = random.Random(seed)
    free_s, state, history, values = [0.0] * clients, ABSENT, [], itertools.count()
    planned = []
    for _ in range(calls):
        client = min(range(clients), key=free_s.__getitem__)
        begun_s = free_s[client] + rng.random() * 0.1
        ended_s = begun_s + rng.random() + 0.01
        free_s[client] = ended_s
        planned.append((rng.uniform(begun_s, ended_s), begun_s, ended_s))
    for moment_s, begun_s, ended_s in sorted(planned):
        action, state = _acted(rng, f"v{next(values)}", state, lost=rng.random() < unanswered)
        if action is not None:
            history.append(Call(action, begun_s, math.inf if _is_unanswered(action) else ended_s))
        assert begun_s <= moment_s <= ended_s
    return history


def _acted(rng: random.Random, value: str, state: State, *, lost: bool) -> tuple[Action | None, State]:
    kind = rng.choice(["get", "get", "put", "delete", "swap"])
    happens = not lost or rng.random() < 0.5
    existed = None if lost else state is not ABSENT
    match kind:
        case "put":
            return Put(value, existed), value if happens else state
        case "delete":
            return Delete(existed), ABSENT if happens else state
        case "swap" if state is not ABSENT:
            expected = state if rng.random() < 0.7 else "other"
            holds = happens and expected == state
            return Swap(expected, value, None if lost else expected == state), value if holds else state
        case _:
            return (None if lost else Get(state)), state


def _is_unanswered(action: Action) -> bool:
    match action:
        case Put(existed=None) | Delete(existed=None) | Swap(done=None):
            return True
    return False


@pytest.mark.parametrize("unanswered", [0.0, 0.1, 0.3])
def test_judges_histories_of_the_largest_size_within_seconds(unanswered):
    for seed in range(10):
        calls = simulated(seed, calls=200, clients=10, unanswered=unanswered)

        begun = time.process_time()
        judgement = check(calls)

        assert judgement.verdict is Verdict.LINEARIZABLE
        assert time.process_time() - begun < 5.0  # a search that goes astray takes minutes


@pytest.mark.parametrize("unanswered", [0.0, 0.1])
def test_finds_a_stale_read_in_a_history_of_the_largest_size_within_seconds(unanswered):
    for seed in range(2):
        calls = simulated(seed, calls=199, clients=10, unanswered=unanswered)
        first = next(call.action.value for call in calls if isinstance(call.action, Put) and call.is_answered)
        end_s = max(call.ended_s for call in calls if call.is_answered)
        calls.append(Call(Get(first), end_s + 1, end_s + 2))

        begun = time.process_time()
        judgement = check(calls)

        assert judgement.verdict is Verdict.VIOLATION
        assert time.process_time() - begun < 10.0


def test_gives_up_rather_than_search_for_ever():
    calls = simulated(3, calls=200, clients=10, unanswered=0.0)

    assert check(calls, max_steps=20).verdict is Verdict.UNDECIDED


def test_refuses_what_it_could_not_decide_in_time():
    with pytest.raises(TooLarge, match="201 calls"):
        check(in_turn(*[Get(ABSENT)] * 201))
    with pytest.raises(TooLarge, match="more than 10"):
        check([Call(Get(ABSENT), 0, 1)] * 11)
