"""The runbook's pages: each command is run while what the page is about is the case, and prints what the page says.

A page's block of shell follows a line `<!-- run: STATE -->`, its output a block of text: every line of it has to be in
what was printed, `…` standing for anything. `<!-- not run: WHY -->` is for what needs what there is not here; a line
below says so to whoever reads, and the shell is asked whether it could read the block.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from tests.support.house import House, house

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "deploy/runbook").glob("*.md"))
WITHIN_S = 30
"""What happens by itself takes its time: readiness 2 s, a lease its life."""

_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>run|not run): (?P<what>[^>]*) -->\n)? *```bash\n(?P<shell>.*?)^ *```\n"
    r"(?: *```text\n(?P<text>.*?)^ *```\n| *_(?P<note>[^_]*)_\n)?",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """Some shell of a page."""

    mark: str | None
    what: str | None
    """The state that it is run in, or why it is not run."""
    shell: str
    text: str | None
    note: str | None

    @property
    def lines(self) -> list[str]:
        """What has to be printed."""
        return [line.strip() for line in (self.text or "").splitlines()]


def blocks(page: Path) -> list[Block]:
    found = [Block(**one.groupdict()) for one in _BLOCK.finditer(page.read_text())]
    assert len(found) == page.read_text().count("```bash"), f"a block of {page.name} is not as the others"
    return found


def runs(page: Path) -> Iterator[tuple[str, list[Block]]]:
    """Yield the blocks that are run, those that stand together in one state together."""
    executed = [block for block in blocks(page) if block.mark == "run"]
    for state, some in groupby(executed, key=lambda block: block.what):
        yield str(state), list(some)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_prints_what_the_page_says(page: Path, here: House) -> None:
    for state, together in runs(page):
        with here.in_state(state):
            for block in together:
                assert block.lines, f"nothing is said of what this prints:\n{block.shell}"
                wait_for(here, block)


def wait_for(here: House, block: Block) -> None:
    deadline = time.monotonic() + WITHIN_S
    while missing := lacking(here.run(block.shell), block):
        assert time.monotonic() < deadline, missing


def lacking(printed: str, block: Block) -> str:
    """Say which of the lines are not there; empty: none."""
    missing = [line for line in block.lines if not is_in(line, printed)]
    return f"{block.shell}printed\n{printed}\nwithout\n" + "\n".join(missing) if missing else ""


def is_in(line: str, printed: str) -> bool:
    pieces = [re.escape(piece.strip()) for piece in line.split("…")]
    return any(re.search(r".*?".join(pieces), each) for each in printed.splitlines())


def test_a_line_that_was_not_printed_is_found() -> None:
    assert is_in("a … c", "x\na b c\n")
    assert not is_in("a … c", "a b\nc")
    assert not is_in("(a.c)", "(abc)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_run_is_shell_and_says_so_visibly(page: Path) -> None:
    for block in blocks(page):
        assert block.mark is not None, f"neither run nor marked:\n{block.shell}"
        if block.mark == "not run":
            assert block.note is not None, f"no line below says that it is not run:\n{block.shell}"
            assert "syntax" in block.note
        done = subprocess.run(["bash", "-n"], input=block.shell, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in ("README", "alerts")], ids=lambda page: page.stem
)
def test_every_page_says_first_what_to_do_has_the_same_four_parts_and_is_in_the_table(page: Path) -> None:
    heads = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)
    assert [head.split()[0].rstrip(",") for head in heads] == ["Symptom", "Check", "What", "Recovery"]
    assert f"]({page.name})" in (ROOT / "deploy/runbook/README.md").read_text()
    what_to_do = page.read_text().partition("\n\n")[2]
    assert what_to_do.startswith(("**First:** ", "**This version has no OIDC**"))  # who is woken by it reads that much
