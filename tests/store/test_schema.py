"""Which program may serve which schema: the table of architecture 6, with made-up older and newer sides."""

import pytest

from titan.store.migrations import runner
from titan.store.schema import NEWEST_SCHEMA, OLDEST_SCHEMA, Fit, Program, Schema, judge, unfit, version_key
from titan.version import __version__

PROGRAM = Program(version="2.3.0", oldest_schema="0004", newest_schema="0006")

CASES = [
    (None, Fit.EMPTY),
    (Schema("0003", "1.0.0"), Fit.TOO_OLD),
    (Schema("0004", "1.0.0"), Fit.OLDER),
    (Schema("0005", "9.9.9"), Fit.OLDER),  # what an older schema asks of programs is not asked of later ones
    (Schema("0006", "2.3.0"), Fit.CURRENT),
    (Schema("0007", "2.2.0"), Fit.NEWER),
    (Schema("0007", "2.3.0"), Fit.NEWER),
    (Schema("0012", "2.3"), Fit.NEWER),
    (Schema("0007", "2.3.1"), Fit.TOO_NEW),
    (Schema("0007", "2.10.0"), Fit.TOO_NEW),  # numbers, not letters
]


@pytest.mark.parametrize(("found", "fit"), CASES)
def test_program_and_schema(found, fit):
    assert judge(found, PROGRAM) is fit
    error = unfit(found, PROGRAM)
    assert (error is None) == (fit in {Fit.OLDER, Fit.CURRENT, Fit.NEWER})
    assert error is None or error.fit is fit


def test_a_refusal_says_what_to_do():
    assert "run `titan db upgrade`" in str(unfit(Schema("0003", "1.0.0"), PROGRAM))
    assert "needs titan 2.3.1 or later and this is 2.3.0" in str(unfit(Schema("0007", "2.3.1"), PROGRAM))


@pytest.mark.parametrize(
    ("less", "more"), [("0.9.0", "0.10.0"), ("1.0", "1.0.1"), ("1.0rc1", "1.1"), ("1.2+local", "1.3"), ("9", "10.0")]
)
def test_versions_are_ordered_by_their_numbers(less, more):
    assert version_key(less) < version_key(more)


def test_trailing_zeros_say_nothing():
    assert version_key("1.0.0") == version_key("1")


def test_this_program_knows_its_migrations():
    revisions = [script.revision for script in runner.chain()]
    assert revisions[-1] == NEWEST_SCHEMA
    assert OLDEST_SCHEMA in revisions
    for script in runner.chain():
        assert version_key(script.module.oldest_program) <= version_key(__version__)
