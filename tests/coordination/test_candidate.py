"""The protocol of one candidate, on a clock of the test: who may win, for how long it holds, what is too late.

The cases are those that client-go's leader election is tested by, and those that its documentation warns of.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.support.book import Book
from titan.coordination.candidate import Candidate, End, wait_s
from titan.coordination.election import Held
from titan.coordination.timings import Timings, impossible

ROLE = "cleanup-worker"
GUIDE = Timings()
TTL_S, RENEW_S = GUIDE.ttl_s, GUIDE.renew_s


class Latest(random.Random):
    """Jitter that is always the most there can be."""

    def uniform(self, a: float, b: float) -> float:
        return b


@pytest.fixture
def book():
    return Book()


@pytest.fixture
def make(book) -> Callable[..., Candidate]:
    def made(holder: str = "me", **options: Any) -> Candidate:
        return Candidate(book, ROLE, holder, GUIDE, rng=Latest(), **options)

    return made


class Leash:
    """What `keep` extends, as the kernel's does."""

    def __init__(self, until: float) -> None:
        self.ends: list[float] = [until]

    def __call__(self, deadline: float) -> bool:
        if trio.current_time() >= self.ends[-1]:
            return False
        self.ends.append(deadline)
        return True


# --- winning


async def test_a_free_lease_is_won_at_once_and_holds_from_before_the_question(book, make, autojump_clock):
    book.way_there_s = book.way_back_s = 0.4
    await trio.sleep(7)
    candidate = make()
    until = await candidate.win()
    # look: 0.8 s there and back; the lease counts from when its question was sent, not from the answer.
    assert until == pytest.approx(7 + 0.8 + TTL_S)
    assert book.holder(ROLE) == "me"
    assert candidate.may_hold


async def test_one_that_ran_out_is_won(book, make, autojump_clock):
    book.give(ROLE, "gone", left_s=5)
    await trio.sleep(6)
    await make().win()
    assert trio.current_time() == 6


async def test_a_fresh_one_is_not_touched_and_is_won_when_it_ends(book, make, autojump_clock):
    book.give(ROLE, "gone", left_s=TTL_S)
    await make().win()
    assert TTL_S <= trio.current_time() <= TTL_S + GUIDE.jitter_s  # the guide's 30 s; jitter of 0.2 s at most
    assert [who for _, question, who in book.asked if question == "acquire"] == ["me"]


async def test_one_that_is_renewed_again_and_again_is_never_won(book, make, autojump_clock):
    async def renew():
        while True:
            book.give(ROLE, "leader", left_s=TTL_S)
            await trio.sleep(RENEW_S)

    book.give(ROLE, "leader", left_s=TTL_S)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(renew)
        with trio.move_on_after(3600):
            await make().win()
        nursery.cancel_scope.cancel()
    assert not [question for _, question, _ in book.asked if question == "acquire"]


async def test_one_that_is_let_go_is_won_within_a_second(book, make, autojump_clock):
    book.give(ROLE, "leader", left_s=TTL_S)

    async def let_go():
        await trio.sleep(12.3)
        book.leases.clear()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_go)
        await make().win()
    assert 12.3 <= trio.current_time() <= 13.0


async def test_of_two_at_the_same_moment_one_wins_and_the_other_waits(book, make, autojump_clock):
    winners = []

    async def stand(candidate):
        await candidate.win()
        winners.append(candidate.holder)

    with trio.move_on_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stand, make("one"))
            nursery.start_soon(stand, make("two"))
    assert len(winners) == 1
    assert book.holder(ROLE) in winners


async def test_an_answer_that_comes_after_the_lease_ended_is_worth_nothing(book, autojump_clock):
    patient = Timings(ttl_s=3.0, renew_s=1.5)
    candidate = Candidate(book, ROLE, "me", patient)

    def slow_first_acquire(question: str) -> None:
        book.way_back_s = 1.0 if question == "acquire" else 0.0

    book.before = slow_first_acquire
    until = await candidate.win()
    assert until > trio.current_time()


async def test_a_jump_of_the_clock_while_the_question_is_under_way_voids_the_answer(book, make, mock_clock):
    """The process was frozen for longer than the lease: whatever the answer says, it is of another age."""
    candidate = make()
    book.way_back_s = 1.0
    won: list[float] = []

    async def stand():
        won.append(await candidate.win())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stand)
        await wait_all_tasks_blocked()
        mock_clock.jump(1.0)  # looked
        await wait_all_tasks_blocked()
        assert book.holder(ROLE) == "me"
        mock_clock.jump(TTL_S + 1)  # frozen while the answer to `acquire` was under way
        await wait_all_tasks_blocked()
        assert won == []
        book.way_back_s = 0.0
        for _ in range(4):
            mock_clock.jump(1.0)
            await wait_all_tasks_blocked()
        assert won == [pytest.approx(trio.current_time() + TTL_S, abs=5)]


async def test_what_was_won_by_a_question_without_an_answer_is_found_and_kept(book, make, autojump_clock):
    def lose_the_first_answer(question: str) -> None:
        book.way_back_s = 100.0 if question == "acquire" and len(book.asked) < 3 else 0.0

    book.before = lose_the_first_answer
    told: list[str] = []
    candidate = make(tell=told.append)
    until = await candidate.win()
    assert [question for _, question, _ in book.asked] == ["look", "acquire", "look", "renew"]
    assert until == book.asked[-1][0] + TTL_S
    assert told == ["cannot be asked: no answer within 2 s", "answers again"]


async def test_an_election_that_is_away_is_asked_again_and_told_once(book, make, autojump_clock):
    told: list[str] = []
    book.away = "connection refused"

    async def come_back():
        await trio.sleep(60)
        book.away = None

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come_back)
        await make(tell=told.append).win()
    assert 60 <= trio.current_time() <= 61
    assert told == ["cannot be asked: connection refused", "answers again"]


async def test_who_cannot_do_the_work_does_not_stand(book, make, autojump_clock):
    broken: list[str] = ["the database is away"]

    async def mend():
        await trio.sleep(60)
        broken.clear()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mend)
        await make(unfit_because=lambda: broken[0] if broken else None).win()
    assert book.asked[0][0] >= 60
    assert trio.current_time() <= 61


@pytest.mark.parametrize(
    ("left_s", "waits_s"), [(30.0, 0.7), (0.5, 0.7), (0.3, 0.5), (0.0, 0.2), (-1.0, 0.2), (float("inf"), 0.7)]
)
def test_how_long_a_follower_waits(left_s, waits_s):
    assert wait_s(Held("x", left_s, is_asked_for=False), GUIDE, Latest()) == pytest.approx(waits_s)


# --- keeping


async def test_it_is_renewed_every_ten_seconds_and_each_time_from_before_the_question(book, make, autojump_clock):
    candidate = make()
    leash = Leash(await candidate.win())
    book.way_there_s = book.way_back_s = 0.1
    with trio.move_on_after(100):
        await candidate.keep(leash.ends[0], leash)
    renewals = [at for at, question, _ in book.asked if question == "renew"]
    assert [round(at) for at in renewals] == list(range(10, 100, 10))
    assert leash.ends[1:] == [pytest.approx(at + TTL_S) for at in renewals]


async def lost_to_another(book):
    book.give(ROLE, "another")


async def flushed(book):
    book.leases.clear()


async def asked_for(book):
    await book.ask(ROLE)


@pytest.mark.parametrize(("what", "end"), [(lost_to_another, End.LOST), (flushed, End.LOST), (asked_for, End.ASKED)])
async def test_what_happens_to_it_is_noticed_at_the_next_look(book, make, autojump_clock, what, end):
    candidate = make()
    leash = Leash(await candidate.win())

    async def happen():
        await trio.sleep(3.3)
        await what(book)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(happen)
        assert await candidate.keep(leash.ends[0], leash) is end
    assert 3.3 <= trio.current_time() <= 3.3 + GUIDE.look_s


async def test_an_election_that_is_away_for_less_than_the_lease_ends_nothing(book, make, autojump_clock):
    candidate = make()
    leash = Leash(await candidate.win())

    async def go_and_come():
        await trio.sleep(9)
        book.away = "down"
        await trio.sleep(20)
        book.away = None

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go_and_come)
        with trio.move_on_after(100):
            await candidate.keep(leash.ends[0], leash)
    assert trio.current_time() == 100
    # In vain at least once a second; then at once.
    assert [round(at) for at, question, _ in book.asked if question == "renew"][:2] == [10, 11]
    assert leash.ends[1] <= 30 + TTL_S


async def test_an_election_that_stays_away_ends_it_when_it_runs_out_and_not_before(book, make, autojump_clock):
    candidate = make()
    leash = Leash(await candidate.win())
    book.away = "down"
    assert await candidate.keep(leash.ends[0], leash) is End.LATE
    assert TTL_S <= trio.current_time() <= TTL_S + GUIDE.retry_s


async def test_a_renewal_that_another_made_impossible_ends_it(book, make, autojump_clock):
    candidate = make()
    leash = Leash(await candidate.win())

    def take_it(question: str) -> None:
        if question == "renew":
            book.give(ROLE, "another")

    book.before = take_it
    assert await candidate.keep(leash.ends[0], leash) is End.LOST
    assert not candidate.may_hold


async def test_an_answer_to_a_renewal_that_comes_too_late_extends_nothing(book, make, mock_clock):
    """Frozen between the question and its answer for longer than the lease."""
    candidate = make()
    ends: list[End] = []
    leash = Leash(await candidate.win())

    async def keep():
        ends.append(await candidate.keep(leash.ends[0], leash))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep)
        while not any(question == "renew" for _, question, _ in book.asked):
            await wait_all_tasks_blocked()
            book.way_back_s = 1.0 if trio.current_time() >= 9.5 else 0.0
            mock_clock.jump(0.5)
        await wait_all_tasks_blocked()
        mock_clock.jump(TTL_S + 5)
    assert ends == [End.LATE]
    assert leash.ends == [TTL_S]


async def test_who_cannot_do_the_work_any_more_lets_others_try(book, make, autojump_clock):
    broken: list[str] = []
    candidate = make(unfit_because=lambda: broken[0] if broken else None)
    leash = Leash(await candidate.win())

    async def break_it():
        await trio.sleep(4)
        broken.append("the database is away")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(break_it)
        assert await candidate.keep(leash.ends[0], leash) is End.UNFIT
    assert 4 <= trio.current_time() <= 4.5


# --- letting go


async def test_it_is_let_go_and_another_one_wins_at_once(book, make, autojump_clock):
    candidate = make()
    await candidate.win()
    await candidate.release()
    assert book.holder(ROLE) is None
    assert not candidate.may_hold
    await make("another").win()
    assert trio.current_time() == 0


async def test_who_holds_nothing_asks_nothing(book, make, autojump_clock):
    await make().release()
    assert book.asked == []


async def test_what_is_anothers_stays_anothers(book, make, autojump_clock):
    candidate = make()
    await candidate.win()
    book.give(ROLE, "another")
    await candidate.release()
    assert book.holder(ROLE) == "another"


async def test_where_it_cannot_be_let_go_it_runs_out(book, make, autojump_clock):
    candidate = make()
    await candidate.win()
    book.away = "down"
    await candidate.release()
    assert candidate.may_hold
    assert book.holder(ROLE) == "me"


STEPS = ("look", "acquire", "renew")


@pytest.mark.parametrize("side", ["way_there_s", "way_back_s"])
@pytest.mark.parametrize("step", STEPS)
async def test_cancelled_in_the_middle_of_a_step_it_leaves_no_lease_behind(book, make, autojump_clock, step, side):
    """Whether the question was carried out or not: what may be held is let go."""
    candidate = make()

    def hold_up(question: str) -> None:
        setattr(book, side, 1.5 if question == step else 0.0)

    book.before = hold_up
    if step == "renew":
        book.give(ROLE, "me", left_s=TTL_S)  # the answer to an earlier question was lost
    with trio.move_on_after(1.0) as scope:
        await candidate.win()
    assert scope.cancelled_caught
    await candidate.release()
    assert book.holder(ROLE) is None
    assert candidate.may_hold is False


# --- times


@pytest.mark.parametrize(
    ("ttl_s", "renew_s", "is_refused"),
    [(30, 10, False), (30, 15, False), (30, 15.1, True), (10, 10, True), (10, 30, True), (0.6, 0.2, False)],
)
def test_times_that_cannot_work_are_refused_with_both_values(ttl_s, renew_s, is_refused):
    problems = list(impossible(ttl_s, renew_s))
    assert bool(problems) is is_refused
    assert all(f"{ttl_s:g}" in problem and f"{renew_s:g}" in problem for problem in problems)


@pytest.mark.parametrize("timings", [GUIDE, Timings(0.9, 0.3), Timings(60, 30)])
def test_a_follower_is_late_by_little_and_a_call_cannot_outlast_the_lease(timings):
    assert timings.jitter_s <= 0.2
    assert timings.look_s <= 0.5
    assert timings.look_s < timings.ttl_s
    assert timings.renew_s + timings.call_s <= timings.ttl_s
