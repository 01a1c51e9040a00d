"""Reading decoded JSON from elsewhere, of which nothing is sure."""

import math
from collections.abc import Mapping
from typing import Any


def value(document: object, *path: str | int) -> Any:
    """Return what is at a place in a document, None where there is nothing."""
    for step in path:
        if isinstance(document, Mapping) and isinstance(step, str):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int) and step < len(document):
            document = document[step]
        else:
            return None
    return document


def text(document: object, *path: str | int) -> str:
    """Return a text or number at a place as text, "" where there is neither."""
    found = value(document, *path)
    return str(found) if isinstance(found, str | int) else ""


def rows(document: object, *path: str | int) -> list[Any]:
    """Return a list at a place, an empty one where there is none."""
    found = value(document, *path)
    return found if isinstance(found, list) else []


def share(amount: str, of: int) -> int:
    """Return a number, or a percentage of another one, rounded up; 0 where it is neither."""
    if amount.endswith("%") and amount[:-1].isdecimal():
        return math.ceil(of * int(amount[:-1]) / 100)
    return int(amount) if amount.isdecimal() else 0
