"""The table of figures says what was measured, and a missed target is seen."""

import json

import pytest

from tests.bench.__main__ import SECTIONS, module
from tests.bench.figures import (
    Figure,
    Unmeasurable,
    as_json,
    at_least,
    at_most,
    markdown,
    number,
    rewrite_readme,
)

FAST = Figure("http", "GET", 0.7, "× Q", at_least(0.7), "700/s against 1,000/s")
SLOW = Figure("start", "Start", 1.2004, "s", at_most(1.2))


def test_a_target_is_kept_or_missed_by_the_unrounded_number():
    assert FAST.verdict == "met"
    assert SLOW.verdict == "MISSED"
    assert SLOW.shown == "1.2 s"


def test_a_figure_without_a_target_is_neither_met_nor_missed():
    assert Figure("kernel", "Restart", 3, "× bare", None).met is None


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.01234, "0.0123"), (12.34, "12.3"), (12345.6, "12,346")])
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_json_holds_targets_and_verdicts():
    rows = json.loads(as_json([FAST, SLOW]))["figures"]
    assert [row["met"] for row in rows] == [True, False]
    assert rows[0]["target"] == {"sign": "≥", "value": 0.7}


def test_the_readme_keeps_everything_but_its_figures(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("head\n<!-- figures:begin -->\nold\n<!-- figures:end -->\ntail\n")
    rewrite_readme(readme, markdown([FAST], "./dev bench --readme"))
    text = readme.read_text()
    assert text.startswith("head\n<!-- figures:begin -->\nMeasured by `./dev bench --readme`")
    assert text.endswith("| GET | ≥ 0.7 × Q | 0.7 × Q | met | 700/s against 1,000/s |\n<!-- figures:end -->\ntail\n")
    assert "old" not in text


def test_a_readme_without_markers_is_left_alone(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("no figures\n<!-- figures:begin -->\n")
    with pytest.raises(Unmeasurable, match=r"README\.md has no"):
        rewrite_readme(readme, "table")
    assert readme.read_text() == "no figures\n<!-- figures:begin -->\n"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_is_there(section):
    assert callable(module(section).measure)
