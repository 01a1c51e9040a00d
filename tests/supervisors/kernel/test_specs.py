"""What can never work is refused at construction, with the values that disagree."""

import math
from typing import Any

import pytest

from supervisors.kernel import Backoff, Child, Context, Intensity, Leash, Restart, SpecError, Supervisor


async def idle(ctx: Context) -> None:
    ctx.started()


def child(name: str = "a", **options: Any) -> Child:
    return Child(name=name, run=idle, **options)


NOT_POSITIVE = [0, -1.0, math.inf, math.nan]
NEGATIVE = [-1.0, math.inf, math.nan]


@pytest.mark.parametrize("value", NOT_POSITIVE)
@pytest.mark.parametrize("field", ["start_s", "shutdown_s"])
def test_a_childs_times_must_be_finite_and_above_zero(field, value):
    with pytest.raises(SpecError, match=rf"^Child 'a': {field}={value:g} must be finite and above 0$"):
        child(**{field: value})


@pytest.mark.parametrize("name", ["", "a/b", "a b", " a", "a\n", "a\tb", "a\x00b", "a\u200bb"])
@pytest.mark.parametrize("kind", ["Child", "Supervisor"])
def test_a_name_must_be_one_printable_word_without_slash(kind, name):
    with pytest.raises(SpecError, match=f"^{kind}: name=.* must be one printable word without '/'$"):
        child(name) if kind == "Child" else Supervisor(name=name, children=())


def test_stop_must_be_cancel_or_drain():
    with pytest.raises(SpecError, match=r"^Child 'a': stop='kill' must be 'cancel' or 'drain'$"):
        child(stop="kill")


def test_run_must_be_callable():
    with pytest.raises(SpecError, match=r"^Child 'a': run=None must be an async function of one Context$"):
        Child(name="a", run=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", NOT_POSITIVE)
def test_the_cap_of_a_backoff_must_be_finite_and_above_zero(value):
    with pytest.raises(SpecError, match=rf"^Backoff: cap_s={value:g} must"):
        Backoff(base_s=0, cap_s=value)


@pytest.mark.parametrize("value", NEGATIVE)
@pytest.mark.parametrize("field", ["base_s", "healthy_s"])
def test_base_and_healthy_spell_of_a_backoff_must_be_finite_and_not_negative(field, value):
    with pytest.raises(SpecError, match=rf"^Backoff: {field}={value:g} must be finite and not negative$"):
        Backoff(**{field: value})


def test_no_backoff_at_all_is_possible():
    assert Backoff(base_s=0, healthy_s=0).base_s == 0


def test_the_base_of_a_backoff_must_not_be_above_its_cap():
    assert Backoff(base_s=1, cap_s=1).cap_s == 1
    with pytest.raises(SpecError, match=r"^Backoff: base_s=2 is above cap_s=1$"):
        Backoff(base_s=2, cap_s=1)


@pytest.mark.parametrize("value", NOT_POSITIVE)
def test_the_window_must_be_finite_and_above_zero(value):
    with pytest.raises(SpecError, match=rf"^Intensity: within_s={value:g} must"):
        Intensity(within_s=value)


def test_the_number_of_restarts_must_not_be_negative():
    assert Intensity(max_restarts=0).max_restarts == 0
    with pytest.raises(SpecError, match=r"^Intensity: max_restarts=-1 must not be negative$"):
        Intensity(max_restarts=-1)


@pytest.mark.parametrize("value", [0, -1.0, math.nan])
def test_a_leash_must_have_a_length(value):
    with pytest.raises(SpecError, match=rf"^Leash: first_s={value:g} must be above 0$"):
        Leash(first_s=value)


def test_a_supervisor_is_put_on_a_leash_by_a_leash_only():
    with pytest.raises(SpecError, match=r"^Supervisor 's': leash=30.0 must be a Leash or None$"):
        Supervisor(name="s", children=(), leash=30.0)  # type: ignore[arg-type]


def test_children_must_be_a_tuple():
    with pytest.raises(SpecError, match=r"^Supervisor 's': children=\[\] must be a tuple, in start order$"):
        Supervisor(name="s", children=[])  # type: ignore[arg-type]


def test_siblings_must_not_share_a_name_whatever_they_are():
    with pytest.raises(SpecError, match=r"^Supervisor 's': children share a name: a, b$"):
        Supervisor(
            name="s",
            children=(child("b"), child("a"), child("c"), Supervisor(name="a", children=()), child("b"), child("b")),
        )


def test_cousins_may_share_a_name():
    one, other = (Supervisor(name=name, children=(child("a"),)) for name in "st")
    assert Supervisor(name="r", children=(one, other)).children == (one, other)


def test_a_supervisor_without_children_is_possible():
    assert Supervisor(name="s", children=()).stop_budget_s == 0.25


# --- the window must be longer than the delays that it allows ---

SLOW = Backoff(base_s=1.0, cap_s=4.0)  # 1 + 2 + 4 + 4 + ...


def test_a_window_that_the_allowed_delays_fill_is_refused_with_both_values():
    with pytest.raises(SpecError) as refused:
        Supervisor(name="s", children=(child(backoff=SLOW),), intensity=Intensity(max_restarts=3, within_s=7.0))
    assert str(refused.value) == (
        "Supervisor 's': within_s=7 is not longer than the 7 s of back-off that max_restarts=3 allows child 'a'"
        " (base_s=1, cap_s=4): it could crash for ever and never reach the limit"
    )


def test_a_window_just_longer_than_the_allowed_delays_is_possible():
    intensity = Intensity(max_restarts=3, within_s=math.nextafter(7.0, 8.0))
    assert Supervisor(name="s", children=(child(backoff=SLOW),), intensity=intensity).intensity is intensity


def test_every_child_must_fit_into_the_window():
    with pytest.raises(SpecError, match="allows child 'b'"):
        Supervisor(
            name="s",
            children=(child("a"), child("b", backoff=SLOW)),
            intensity=Intensity(max_restarts=3, within_s=7.0),
        )


def test_a_child_that_is_never_restarted_needs_no_window():
    never = child(backoff=SLOW, restart=Restart.TEMPORARY)
    spec = Supervisor(name="s", children=(never,), intensity=Intensity(max_restarts=3, within_s=1.0))
    assert spec.longest_crash_loop_s == 0


def test_a_parents_window_must_outlast_the_crash_loops_below_it():
    # Inside, 3 exits and 2 delays of 1 s and 2 s: it gives up after at most 3 s. 2 restarts of it: 1 + 2 + 2 * 3 = 9 s.
    inner = Supervisor(
        name="inner",
        children=(child("quick", backoff=Backoff(base_s=0)), child(backoff=SLOW)),
        intensity=Intensity(max_restarts=2, within_s=4.0),
        backoff=SLOW,
    )
    assert inner.longest_crash_loop_s == 3.0
    with pytest.raises(SpecError, match="within_s=9 is not longer than the 9 s of back-off"):
        Supervisor(name="s", children=(inner,), intensity=Intensity(max_restarts=2, within_s=9.0))
    outer = Supervisor(name="s", children=(inner,), intensity=Intensity(max_restarts=2, within_s=9.1))
    # From its start to its own end: three runs of the inner one, and two delays.
    assert outer.longest_crash_loop_s == 3 * 3.0 + 1.0 + 2.0


def test_the_stop_budget_is_the_sum_of_what_an_ordered_stop_may_wait_for():
    inner = Supervisor(name="inner", children=(child("a", shutdown_s=2), child("b", shutdown_s=3, stop="drain")))
    assert inner.stop_budget_s == 2 + (3 + 1) + 0.25
    assert Supervisor(name="s", children=(inner, child("c", shutdown_s=1))).stop_budget_s == 6.25 + 1 + 0.25
