"""What is known of a replica's lag, by a clock that the test turns."""

import pytest

from titan.store.postgres.lag import UNKNOWN_S, Lag, Origin

HERE = Origin(1, 5, "00000001-a")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lag(clock) -> Lag:
    return Lag(clock=clock)


def wrote(lag: Lag, position: int, *, committed: int | None = None, origin: Origin | None = HERE) -> None:
    lag.wrote(origin, lag.now(), position, position if committed is None else committed)


def test_nothing_is_known_at_first(lag):
    assert lag.behind_s is None
    assert not lag.is_near
    wrote(lag, 10)
    assert lag.behind_s is None
    assert not lag.is_near
    assert not lag.is_recent(None)


def test_a_replica_that_has_replayed_all_is_not_behind_however_old_the_last_write_is(lag, clock):
    wrote(lag, 10)
    lag.replayed(10)
    for _ in range(100):
        clock.now += 0.5
        wrote(lag, 10)
        assert lag.behind_s == 0
        assert lag.is_near


def test_it_is_behind_since_the_primary_was_first_seen_with_what_it_lacks(lag, clock):
    wrote(lag, 10)
    lag.replayed(10)
    clock.now += 0.5
    wrote(lag, 20)
    assert lag.behind_s == 0
    clock.now += 0.5
    wrote(lag, 30)
    assert lag.behind_s == 0.5
    lag.replayed(15)
    assert lag.behind_s == 0.5
    lag.replayed(20)
    assert lag.behind_s == 0
    lag.replayed(30)
    clock.now += 0.5
    assert lag.behind_s == 0


def test_an_answer_is_recent_for_a_second_after_the_primary_was_asked_for_what_is_in_it(lag, clock):
    wrote(lag, 10)
    clock.now += 0.6
    wrote(lag, 20)
    assert lag.is_recent(10)
    assert not lag.is_recent(9)
    clock.now += 0.41
    assert not lag.is_recent(10)
    assert lag.is_recent(20)
    clock.now += 0.6
    assert not lag.is_recent(20)
    assert not lag.is_recent(1000)


def test_a_smaller_bound_holds_for_answers_too(clock):
    lag = Lag(recent_s=0.25, clock=clock)
    wrote(lag, 10)
    clock.now += 0.26
    assert not lag.is_recent(10)


def test_what_is_visible_before_it_is_written_has_to_be_replayed_too(lag):
    """With synchronous_commit=off; the lag that is shown does not count it: it may not be written for long."""
    wrote(lag, 10, committed=12)
    lag.replayed(10)
    assert lag.behind_s == 0
    assert not lag.is_near
    assert lag.is_recent(12)


def test_without_word_from_the_primary_the_lag_is_unknown(lag, clock):
    wrote(lag, 10)
    lag.replayed(10)
    clock.now += UNKNOWN_S + 0.1
    assert not lag.is_near
    assert lag.behind_s is None


def test_the_next_word_from_the_primary_makes_it_known_again(lag, clock):
    wrote(lag, 10)
    lag.replayed(10)
    clock.now += UNKNOWN_S + 0.1
    wrote(lag, 10)
    assert lag.behind_s == 0
    assert lag.is_near


def test_a_lost_replica_is_not_near_until_it_says_something(lag):
    wrote(lag, 10)
    lag.replayed(10)
    lag.lost()
    wrote(lag, 10)
    assert not lag.is_near
    assert lag.behind_s is None
    lag.replayed(10)
    assert lag.is_near


def test_positions_of_another_history_prove_nothing(lag):
    wrote(lag, 10)
    lag.replayed(50)
    wrote(lag, 20, origin=Origin(1, 5, "00000002-b"))
    assert not lag.is_near
    assert lag.origin == Origin(1, 5, "00000002-b")
    wrote(lag, 20, origin=None)
    assert lag.origin is None


def test_of_a_replica_far_behind_its_whole_lag_is_known_as_far_as_samples_are_kept(lag, clock):
    wrote(lag, 1)
    lag.replayed(1)
    for position in range(2, 8000):
        clock.now += 0.5
        wrote(lag, position)
    assert lag.behind_s == pytest.approx(4095 * 0.5)
