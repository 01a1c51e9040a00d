"""Makes deploy/ha-guidance-proof.md of its data: `python -m tests.guide.proof` (`./dev docs`)."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "deploy/ha-guidance-proof.toml"
PAGE = ROOT / "deploy/ha-guidance-proof.md"

AS_WRITTEN = "as written"
VERDICTS = (AS_WRITTEN, "better", "later")

HEAD = """\
# What the operator's guide rests on

Made from `ha-guidance-proof.toml` by `./dev docs`. Each sentence, row, item and block of the design's guide, what makes
it true, and the test that shows it. `tests/guide` sees that none is missing, and that files and tests exist. Verdicts:
**better** beats what the guide foresees, **later** is not built yet, or not tried here.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One or more sentences of the guide with what they rest on."""

    says: Sequence[str]
    by: Sequence[str]
    how: str
    shown: Sequence[str]
    verdict: str = AS_WRITTEN


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the guide."""

    title: str
    rows: Sequence[Row]


def sections() -> list[Section]:
    """Read the data; a field that is misspelled or missing is an error."""
    data = tomllib.loads(DATA.read_text())
    return [Section(each["title"], [Row(**row) for row in each["row"]]) for each in data["section"]]


def rows() -> Iterator[Row]:
    """Yield every row."""
    for section in sections():
        yield from section.rows


def page() -> str:
    """Give the text of the page."""
    return HEAD + "".join(f"\n## {section.title}\n\n{_table(section.rows)}" for section in sections())


def _table(some: Sequence[Row]) -> str:
    lines = ["| the guide says | made true by | shown by |", "| --- | --- | --- |"]
    for row in some:
        says = "<br>".join(_code(each) for each in row.says)
        verdict = "" if row.verdict == AS_WRITTEN else f"**{row.verdict}**: "
        by = ", ".join(f"[`{each}`]({_link(each)})" for each in row.by)
        shown = "<br>".join(f"`{each}`" for each in row.shown)
        lines.append(f"| {says} | {verdict}{row.how} ({by}) | {shown} |")
    return "".join(f"{line}\n" for line in lines)


def _code(text: str) -> str:
    """Quote the guide so that nothing of it is taken for a table's or a link's sign."""
    text = text.strip("| ").replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _link(path: str) -> str:
    return path.removeprefix("deploy/") if path.startswith("deploy/") else f"../{path}"


if __name__ == "__main__":
    PAGE.write_text(page())
