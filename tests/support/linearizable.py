"""Is there an order of the calls on one register that explains every answer? (Wing & Gong 1993, memo by Lowe 2017.)

    verdict = check([Call(Put("a", existed=False), 0.0, 1.0), Call(Get("a"), 2.0, 3.0)])

A history is linearizable when each call can be given one moment between its begin and its end, so that the calls,
carried out one after the other in that order, would have got the answers they got.

A write without an answer may take effect at any later time, or never: its end is infinity and it need not be in the
order. Such calls pile up while a server is away, and every subset of them would have to be tried. Most of that is in
vain: one that changes nothing for the call right after it can be left out or moved behind it, because it has no end
that it must keep. So it is tried only right before a call that would be impossible without it. And values that no
answer ever shows are all the same, which leaves few unanswered calls that differ; of equal ones the first stands for
all.

Not guaranteed: an answer for every history. The problem is NP-hard, so `check` gives up after `max_steps`, and a run
whose history is undecided must count as failed. The limits keep what honest runs produce far below that.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import TypeAlias

MAX_CALLS = 200
MAX_CONCURRENT = 10
MAX_STEPS = 2_000_000

ABSENT = None
State: TypeAlias = str | None
"""What the register holds; values are unique, so a value also stands for the revision that carries it."""


@dataclass(frozen=True, slots=True)
class Get:
    """A read that found this, or nothing (`ABSENT`)."""

    found: State


@dataclass(frozen=True, slots=True)
class Put:
    """An unconditional write. `existed`: the answer told a replacement from a creation; None without an answer."""

    value: str
    existed: bool | None


@dataclass(frozen=True, slots=True)
class Delete:
    """A removal; `existed` as in `Put`."""

    existed: bool | None


@dataclass(frozen=True, slots=True)
class Swap:
    """A write on the condition that the register holds `expected`; `done` is None without an answer."""

    expected: str
    value: str
    done: bool | None


Action: TypeAlias = Get | Put | Delete | Swap


@dataclass(frozen=True, slots=True)
class Call:
    """An action and when it was under way, by one monotonic clock. `ended_s` is infinite where no answer came."""

    action: Action
    begun_s: float
    ended_s: float = math.inf

    @property
    def is_answered(self) -> bool:
        """It must be in the order; the others may be."""
        return self.ended_s < math.inf


class Verdict(StrEnum):
    """What came out. Only the first is good."""

    LINEARIZABLE = "linearizable"
    VIOLATION = "violation"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict; where it is not good, the longest order found and the calls of which none could follow."""

    verdict: Verdict
    steps: int
    order: Sequence[Call] = ()
    stuck_on: Sequence[Call] = ()


class TooLarge(ValueError):
    """The history exceeds what can be decided in bounded time."""


class Impossible(Enum):
    """In place of a state."""

    IMPOSSIBLE = "impossible"


IMPOSSIBLE = Impossible.IMPOSSIBLE


def after(action: Action, state: State) -> State | Impossible:
    """Return the state after an action, or `IMPOSSIBLE` where it cannot have got its answer in this state.

    An unanswered action is impossible where it would change nothing: then it is as if it had never happened.
    """
    match action:
        case Get(found):
            return state if found == state else IMPOSSIBLE
        case Put(value, existed):
            return value if existed in {None, state is not ABSENT} else IMPOSSIBLE
        case Delete(existed):
            return ABSENT if (state is not ABSENT) is (existed is not False) else IMPOSSIBLE
        case Swap(expected, value, done):
            if state == expected:
                return IMPOSSIBLE if done is False else value
            return state if done is False else IMPOSSIBLE


def check(calls: Sequence[Call], *, initial: State = ABSENT, max_steps: int = MAX_STEPS) -> Judgement:
    """Judge the history of one register. Raises `TooLarge`."""
    return _Search(calls, max_steps).judge(initial)


@dataclass(frozen=True, slots=True)
class _Node:
    """How far an order has come."""

    done: int  # bit i: calls[i] is in the order
    state: State
    unowed: State | Impossible = IMPOSSIBLE
    """The state before, where the last call was an unanswered one: the next must be impossible in it."""


class _Search:
    def __init__(self, calls: Sequence[Call], max_steps: int) -> None:
        self._calls = sorted(calls, key=lambda call: (call.begun_s, call.ended_s))
        self._actions = _without_names(self._calls)
        self._answered = sum(1 << number for number, call in enumerate(self._calls) if call.is_answered)
        self._unanswered = (1 << len(calls)) - 1 - self._answered
        self._max_steps = max_steps
        _refuse_too_large([call for call in calls if call.is_answered], len(calls))

    def judge(self, initial: State) -> Judgement:
        """Search depth first; a node once found to lead nowhere is never entered again."""
        steps, longest = 0, [_Node(0, initial)]
        seen = set(longest)
        path, branches = [longest[0]], [self._moves(longest[0])]
        while path:
            if not self._answered & ~path[-1].done:
                return Judgement(Verdict.LINEARIZABLE, steps)
            node = next(branches[-1], None)
            if node is None:
                path.pop()
                branches.pop()
            elif node not in seen:
                steps += 1
                if steps > self._max_steps:
                    return self._stuck(Verdict.UNDECIDED, steps, longest)
                seen.add(node)
                path.append(node)
                branches.append(self._moves(node))
                if len(path) > len(longest):
                    longest = list(path)
        return self._stuck(Verdict.VIOLATION, steps, longest)

    def _moves(self, node: _Node) -> Iterator[_Node]:
        """Yield the nodes that one further call leads to; answered calls first, for most histories need no others."""
        for number in self._next_calls(node.done):
            action = self._actions[number]
            state = after(action, node.state)
            if state is IMPOSSIBLE:
                continue
            if node.unowed is not IMPOSSIBLE and after(action, node.unowed) is not IMPOSSIBLE:
                continue
            if self._answered >> number & 1:
                yield _Node(node.done | 1 << number, state)
            elif state != node.state:
                yield _Node(node.done | 1 << number, state, unowed=node.state)

    def _next_calls(self, done: int) -> Iterator[int]:
        """Yield the calls that may be next: those that began before any other that is left has ended."""
        window, first_end_s = [], math.inf
        for number in _bits(self._answered & ~done):
            if self._calls[number].begun_s > first_end_s:
                break
            window.append(number)
            first_end_s = min(first_end_s, self._calls[number].ended_s)
        yield from (number for number in window if self._calls[number].begun_s <= first_end_s)
        yielded: set[Action] = set()
        for number in _bits(self._unanswered & ~done):
            if self._calls[number].begun_s > first_end_s:
                break
            if self._actions[number] not in yielded:
                yielded.add(self._actions[number])
                yield number

    def _stuck(self, verdict: Verdict, steps: int, path: Sequence[_Node]) -> Judgement:
        numbers = [(after.done ^ before.done).bit_length() - 1 for before, after in itertools.pairwise(path)]
        order = [self._calls[number] for number in numbers]
        return Judgement(verdict, steps, order, [self._calls[number] for number in self._next_calls(path[-1].done)])


UNSEEN = "a value that no answer shows"


def _without_names(calls: Sequence[Call]) -> list[Action]:
    """Return the actions, with one name for all values that no answer and no condition names."""
    seen = {call.action.found for call in calls if isinstance(call.action, Get)}
    seen |= {call.action.expected for call in calls if isinstance(call.action, Swap)}
    return [
        replace(call.action, value=UNSEEN)
        if isinstance(call.action, Put | Swap) and call.action.value not in seen
        else call.action
        for call in calls
    ]


def _bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, from the lowest."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _refuse_too_large(answered: Sequence[Call], count: int) -> None:
    if count > MAX_CALLS:
        raise TooLarge(f"{count} calls on one register; {MAX_CALLS} are the most")
    marks = sorted([(call.begun_s, 1) for call in answered] + [(call.ended_s, -1) for call in answered])
    under_way = 0
    for _, change in marks:
        under_way += change
        if under_way > MAX_CONCURRENT:
            raise TooLarge(f"more than {MAX_CONCURRENT} calls at once on one register")
