"""The proof of the guide is whole, and what it points to is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.guide.proof import PAGE, ROOT, VERDICTS, page, rows
from tests.guide.units import plain, units
from tests.support.shared import shared

GUIDE = "design/ha-guidance.md"
PAGES = [ROOT / "README.md", *(ROOT / "deploy").glob("*.md"), *(ROOT / "deploy/runbook").glob("*.md")]
SHORTEST = 12
"""An excerpt of fewer characters would be found anywhere."""


@cache
def names(path: Path) -> frozenset[str]:
    """Return the tests of a file."""
    found = ast.walk(ast.parse(path.read_text()))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def covered(unit: str, excerpts: list[str]) -> bool:
    return any(excerpt in unit for excerpt in excerpts)


def test_the_page_is_made_of_its_data():
    assert PAGE.read_text() == page(), "run ./dev docs"


def test_every_test_that_is_named_exists():
    for row in rows():
        assert row.shown, row.says
        for node in row.shown:
            path, name = node.split("::")
            assert name.startswith("test_"), node
            assert (ROOT / path).is_file(), node
            assert name in names(ROOT / path), node


def test_every_file_that_is_named_exists():
    assert [name for row in rows() for name in row.by if not (ROOT / name).is_file()] == []
    assert [row.says for row in rows() if not row.by or not row.how or row.verdict not in VERDICTS] == []


def test_every_sentence_of_the_guide_has_a_row():
    excerpts = [plain(excerpt) for row in rows() for excerpt in row.says]
    assert [unit for unit in units(shared(GUIDE).read_text()) if not covered(unit, excerpts)] == []


def test_every_row_quotes_the_guide():
    parts = list(units(shared(GUIDE).read_text()))
    foreign = [excerpt for row in rows() for excerpt in row.says if not any(plain(excerpt) in part for part in parts)]
    assert foreign == []
    assert [excerpt for row in rows() for excerpt in row.says if len(excerpt) < SHORTEST] == []


def test_a_row_that_was_left_out_is_found():
    parts = list(units(shared(GUIDE).read_text()))
    said = [[plain(excerpt) for excerpt in row.says] for row in rows()]
    for left_out in said:
        others = [excerpt for some in said if some is not left_out for excerpt in some]
        assert not all(covered(part, others) for part in parts), f"nothing rests on {left_out} alone"


def test_what_is_later_is_what_the_design_leaves_for_later():
    later = [row.says[0] for row in rows() if row.verdict == "later"]
    assert later == ["For PostgreSQL failover:", "All authenticated requests fail 401", "DR procedure tested"]


def test_the_guide_is_cut_into_all_that_it_says():
    parts = list(
        units(
            "# Head\n\nOne. Two:\n\n**Symptoms:**\n- item\n1. first\n\n| a | b |\n|---|---|\n| c | d |\n"
            "```bash\n# do\nx=1\n\n# y=2\n```\n```yaml\nkey: 1\nlist:\n```\n- [ ] tick\n"
        )
    )
    assert parts == ["One.", "Two:", "item", "first", "| c | d |", "# do x=1", "# y=2", "key: 1 list:", "tick"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for name, anchor in re.findall(r"\]\(([^)#: ]*)(?:#([^) ]*))?\)", page.read_text()):
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {name}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {name}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return what a heading can be linked by."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


def test_every_word_of_the_guide_in_code_is_in_ours():
    ours = " ".join(path.read_text() for path in [ROOT / "deploy/ha-guidance.md", *(ROOT / "deploy/runbook").glob("*")])
    ours = ours.replace(" -h $REDIS_HOST", "")
    guide = re.sub(r"```.*?```", "", shared(GUIDE).read_text(), flags=re.DOTALL)
    assert [word for word in re.findall(r"`([^`]+)`", guide) if word not in ours] == []
