"""The arithmetic of the rate limit, for every rate and every course of time."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.http.rate import Verdict, fields
from titan.security.quota import LONGEST_US, MAX_PER_MINUTE, Quota

RATES = st.integers(1, 40) | st.integers(1, MAX_PER_MINUTE)
PAUSES_US = st.lists(st.integers(0, 5_000_000) | st.just(0), min_size=1, max_size=200)


def course(quota: Quota, times_us: list[int]) -> list[tuple[int, Verdict]]:
    """Ask at each of these moments."""
    whole_at_us, told = 0, []
    for now_us in times_us:
        is_granted, away_us = quota.spend(whole_at_us, now_us)
        whole_at_us = now_us + away_us
        told.append((now_us, quota.verdict(is_granted, away_us)))
    return told


@given(RATES, PAUSES_US)
def test_in_any_stretch_of_time_no_more_is_granted_than_a_minutes_worth_and_the_rate(per_minute, pauses_us):
    told = course(Quota(per_minute), list(accumulate(pauses_us)))
    granted = [now_us for now_us, verdict in told if verdict.is_granted]
    for first, begun_us in enumerate(granted):
        for count, now_us in enumerate(granted[first:], start=1):
            assert count * 60_000_000 <= per_minute * (60_000_000 + now_us - begun_us)


@given(RATES, PAUSES_US)
def test_who_is_refused_is_granted_one_as_soon_as_it_was_told_and_not_before(per_minute, pauses_us):
    quota, whole_at_us = Quota(per_minute), 0
    for now_us in accumulate(pauses_us):
        is_granted, away_us = quota.spend(whole_at_us, now_us)
        whole_at_us = now_us + away_us
        verdict = quota.verdict(is_granted, away_us)
        assert is_granted or verdict.remaining == 0
        next_us = now_us + round(verdict.next_s * 1_000_000)
        assert quota.spend(whole_at_us, next_us)[0]
        if verdict.remaining == 0:
            assert not quota.spend(whole_at_us, next_us - 1)[0]
        assert away_us <= LONGEST_US


@given(RATES, PAUSES_US)
def test_what_remains_is_what_would_be_granted_at_once(per_minute, pauses_us):
    quota = Quota(per_minute)
    now_us, verdict = course(quota, list(accumulate(pauses_us)))[-1]
    again = course(quota, [*accumulate(pauses_us), *[now_us] * min(verdict.remaining + 1, 60)])
    after = [each.is_granted for _, each in again[len(pauses_us) :]]
    assert after == [True] * min(verdict.remaining, 60) + [False] * (verdict.remaining < 60)


@pytest.mark.parametrize("per_minute", [1, 2, 7, 60, 1000])
def test_a_silent_client_has_a_minutes_worth_and_then_waits_one_interval(per_minute):
    told = course(Quota(per_minute), [5] * (per_minute + 1))
    assert [verdict.is_granted for _, verdict in told] == [True] * per_minute + [False]
    assert [verdict.remaining for _, verdict in told] == [*range(per_minute - 1, -1, -1), 0]
    assert told[-1][1].next_s == pytest.approx(60 / per_minute, rel=1e-4)


@pytest.mark.parametrize("per_minute", [7, 7001, 999_999])
def test_rounding_never_grants_more_than_the_rate(per_minute):
    """Who asks at the very moment that it was told gets no more than the rate, where an interval is no whole number."""
    quota = Quota(per_minute)
    whole_at_us = quota.burst_us  # a minute's worth was spent at 0
    now_us = 0
    for extra in range(1, 1001):
        now_us += round(quota.verdict(False, whole_at_us - now_us).next_s * 1_000_000)
        is_granted, away_us = quota.spend(whole_at_us, now_us)
        whole_at_us = now_us + away_us
        assert is_granted
        assert extra * 60_000_000 <= per_minute * now_us


@given(RATES, PAUSES_US)
def test_what_the_fields_say_never_invites_to_more_than_the_rate(per_minute, pauses_us):
    for _, verdict in course(Quota(per_minute), list(accumulate(pauses_us))):
        assert 1 <= verdict.window_s <= 61
        assert verdict.remaining / verdict.window_s <= per_minute / 60
        assert verdict.remaining or verdict.window_s >= verdict.next_s


def test_the_fields_are_structured_as_the_draft_has_them():
    assert fields(Verdict(True, 600, 599, 0.1)) == [
        (b"ratelimit-policy", b'"client";q=600;w=60'),
        (b"ratelimit", b'"client";r=599;t=60'),
    ]
    assert fields(Verdict(False, 6, 0, 8.2))[1] == (b"ratelimit", b'"client";r=0;t=9')
