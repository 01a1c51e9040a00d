"""The pure decisions, exhaustively and at their boundaries; what the mutation check runs against first."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.kernel import Backoff, ExitReason, Intensity, Restart, Strategy
from supervisors.kernel.backoff import attempt_after, draw_delay_s, longest_delay_s, longest_total_s
from supervisors.kernel.intensity import Window
from supervisors.kernel.strategy import comes_back, counts, fate_sharers, needs_restart, starts_in_order


@pytest.mark.parametrize(
    ("strategy", "index", "sharers"),
    [
        (Strategy.ONE_FOR_ONE, 0, []),
        (Strategy.ONE_FOR_ONE, 3, []),
        (Strategy.REST_FOR_ONE, 0, [1, 2, 3]),
        (Strategy.REST_FOR_ONE, 2, [3]),
        (Strategy.REST_FOR_ONE, 3, []),
        (Strategy.ONE_FOR_ALL, 0, [0, 1, 2, 3]),
        (Strategy.ONE_FOR_ALL, 3, [0, 1, 2, 3]),
    ],
)
def test_who_shares_the_fate_of_a_child(strategy, index, sharers):
    assert list(fate_sharers(strategy, index, 4)) == sharers


def test_only_one_for_one_restarts_without_regard_to_order():
    assert [starts_in_order(strategy) for strategy in Strategy] == [False, True, True]


@pytest.mark.parametrize(
    ("restart", "after"),
    [
        (Restart.PERMANENT, set(ExitReason)),
        (Restart.TRANSIENT, {ExitReason.FAILED}),
        (Restart.TEMPORARY, set()),
    ],
)
def test_after_which_exits_a_child_is_restarted(restart, after):
    assert {reason for reason in ExitReason if needs_restart(restart, reason)} == after


def test_only_the_end_of_a_term_does_not_count():
    assert {reason for reason in ExitReason if not counts(reason)} == {ExitReason.LEASH}


def test_only_temporary_children_do_not_come_back_with_their_group():
    assert {restart for restart in Restart if not comes_back(restart)} == {Restart.TEMPORARY}


def test_the_longest_delay_doubles_up_to_the_cap():
    backoff = Backoff(base_s=0.1, cap_s=1.0)
    delays = [longest_delay_s(backoff, attempt) for attempt in range(6)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_million_restarts_in_a_row_still_give_the_cap():
    assert longest_delay_s(Backoff(base_s=1e-9, cap_s=1.0), 10**6) == 1.0
    assert longest_delay_s(Backoff(base_s=0.0, cap_s=1.0), 10**6) == 0.0


def test_the_delay_is_drawn_evenly_from_zero_to_the_longest():
    class Recorder(random.Random):
        def uniform(self, a: float, b: float) -> float:
            asked.append((a, b))
            return 0.3

    asked: list[tuple[float, float]] = []
    assert draw_delay_s(Backoff(base_s=0.1, cap_s=1.0), 2, Recorder()) == 0.3
    assert asked == [(0.0, 0.4)]


@given(st.floats(0, 10), st.floats(0.001, 10), st.integers(0, 2000), st.integers())
def test_a_delay_never_leaves_its_bounds(base_s, cap_s, attempt, seed):
    backoff = Backoff(base_s=min(base_s, cap_s), cap_s=cap_s)
    delay_s = draw_delay_s(backoff, attempt, random.Random(seed))
    assert 0 <= delay_s <= min(cap_s, longest_delay_s(backoff, attempt))


def test_a_healthy_spell_forgets_the_restarts_in_a_row_exactly_at_its_length():
    backoff = Backoff(healthy_s=10.0)
    assert attempt_after(backoff, 7, math.nextafter(10.0, 0)) == 7
    assert attempt_after(backoff, 7, 10.0) == 0


def test_a_run_that_never_started_was_no_healthy_spell():
    assert attempt_after(Backoff(healthy_s=0), 7, None) == 7
    assert attempt_after(Backoff(healthy_s=0), 7, 0.0) == 0


def test_the_longest_total_is_the_sum_of_the_longest_delays():
    backoff = Backoff(base_s=0.1, cap_s=1.0)
    assert longest_total_s(backoff, 0) == 0
    assert longest_total_s(backoff, 1) == 0.1
    assert longest_total_s(backoff, 6) == pytest.approx(0.1 + 0.2 + 0.4 + 0.8 + 1.0 + 1.0)


def window(max_restarts: int, within_s: float) -> Window:
    return Window(Intensity(max_restarts=max_restarts, within_s=within_s))


def test_the_window_admits_exactly_max_restarts_exits():
    exits = window(2, 10.0)
    assert [exits.admits(0.0, ValueError()) for _ in range(3)] == [True, True, False]


def test_no_restart_allowed_means_the_first_exit_is_the_last():
    assert not window(0, 10.0).admits(5.0, ValueError())


def test_an_exit_leaves_the_window_exactly_after_within_s():
    at_the_edge, before_it = window(1, 10.0), window(1, 10.0)
    assert at_the_edge.admits(0.0, ValueError())
    assert before_it.admits(0.0, ValueError())
    assert at_the_edge.admits(10.0, ValueError())
    assert not before_it.admits(math.nextafter(10.0, 0), ValueError())


def test_the_window_keeps_the_errors_that_still_count_oldest_first():
    exits = window(3, 10.0)
    errors = [ValueError(number) for number in range(4)]
    for at, error in zip([0.0, 1.0, 5.0, 10.5], errors, strict=True):
        exits.admits(at, error)
    assert exits.errors == errors[1:]


@given(st.integers(0, 4), st.lists(st.integers(0, 6), max_size=30))
def test_the_window_is_exact_for_any_sequence_of_exits(max_restarts, gaps):
    exits, times, now = window(max_restarts, 10.0), [], 0
    for gap in gaps:
        now += gap
        times.append(now)
        inside = sum(1 for at in times if now - at < 10)
        assert exits.admits(float(now), ValueError()) == (inside <= max_restarts)
