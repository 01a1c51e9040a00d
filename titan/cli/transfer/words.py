"""Texts that come from outside, as people and programs may see them."""

import os
from pathlib import Path
from typing import Final

from titan.printable import printable
from titan.store.contract import MAX_ID_CHARACTERS

MAX_SHOWN: Final = MAX_ID_CHARACTERS
"""Characters of one text; every id that may be one is shown whole."""


def shown(text: str) -> str:
    """Return the text as it may be shown in a terminal: one line, nothing that moves the cursor, not endless."""
    return printable(text) if len(text) <= MAX_SHOWN else printable(text[:MAX_SHOWN]) + "…"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def named(path: Path) -> str:
    """Return a file's name as JSON can hold it; names need not be UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")
