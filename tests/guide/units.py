"""Cuts the operator's guide into what each has to be true: sentences, list items, rows of tables, commands, blocks."""

import re
from collections.abc import Iterator

_FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.:!?])\s+(?=[A-Z])")
_LABEL = re.compile(r"\*\*[^*]+:\*\*")
_ITEM = re.compile(r"(?:- \[ \]|-|\d+\.) ")


def plain(text: str) -> str:
    """Give a text on one line."""
    return " ".join(text.split())


def units(guide: str) -> Iterator[str]:
    """Yield them in their order.

    Headings and labels ("**Symptoms:**") say nothing; a line that announces ("For PostgreSQL failover:") does. A
    block of shell counts line by line, comments with the line below; any other block is one.
    """
    at = 0
    for fence in _FENCE.finditer(guide):
        yield from _of_prose(guide[at : fence.start()])
        yield from _of_shell(fence[2]) if fence[1] == "bash" else [plain(fence[2])]
        at = fence.end()
    yield from _of_prose(guide[at:])


def _of_prose(text: str) -> Iterator[str]:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        stripped = line.strip()
        if not stripped or stripped.startswith("#") or set(stripped) <= set("-| ") or _LABEL.fullmatch(stripped):
            continue
        if stripped.startswith("|"):
            below = lines[number + 1].strip() if number + 1 < len(lines) else ""
            if not below or not set(below) <= set("-| "):  # else it is the table's head
                yield plain(stripped)
        elif item := _ITEM.match(stripped):
            yield plain(stripped[item.end() :])
        else:
            yield from map(plain, _SENTENCE_END.split(stripped))


def _of_shell(block: str) -> Iterator[str]:
    said: list[str] = []
    for line in filter(None, map(str.strip, block.splitlines())):
        said.append(line)
        if not line.startswith("#") or "=" in line:  # what is commented out is a line of its own
            yield plain(" ".join(said))
            said.clear()
