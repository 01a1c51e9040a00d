"""Settings in words: a value as it may be shown, and what a setting allows."""

import re
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from titan.printable import printable
from titan.settings import Setting


def mask(text: str) -> str:
    """Give a secret as it may be shown: of a URL all but the password, of anything else nothing."""
    if "://" not in text:
        return "***"
    scheme, _, rest = text.partition("://")
    # Up to the last @ of all: a password may hold a / or ? that should have been percent-encoded.
    user, at, rest = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    rest = f"{name}{colon and ':***'}{at}{rest}"
    rest = re.sub(r"(?i)((?:pass|secret|token|key)[^=&]*=)[^&#]*", r"\1***", rest)
    return f"{scheme}://{rest}"


def shown(setting: Setting, value: object) -> str:
    """Render a value as it may be shown and logged: secrets masked."""
    if value is None:
        return ""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = text.lower() if isinstance(value, bool) else text
    return printable(mask(text) if setting.is_secret and text else text)


def allowed(field: FieldInfo) -> str:
    """Say in words which values a setting takes."""
    kind: Any = field.annotation
    if type(None) in get_args(kind):
        kind = next(arg for arg in get_args(kind) if arg is not type(None))
    if kind is bool:
        return "true or false"
    if isinstance(kind, type) and hasattr(kind, "__members__"):
        return "one of " + ", ".join(str(member) for member in kind.__members__.values())
    if kind in (int, float):
        return ("a whole number" if kind is int else "a number") + _bounds(field)
    if kind is Path:
        return "a path"
    pattern = next((mark.pattern for mark in field.metadata if hasattr(mark, "pattern")), None)
    return f"text matching {pattern}" if pattern else "text"


def _bounds(field: FieldInfo) -> str:
    marks = {name: getattr(mark, name) for mark in field.metadata for name in ("ge", "gt", "le") if hasattr(mark, name)}
    if "ge" in marks and "le" in marks:
        return f" from {marks['ge']} to {marks['le']}"
    parts = [
        f" {words} {marks[name]}"
        for name, words in (("ge", "not below"), ("gt", "above"), ("le", "up to"))
        if name in marks
    ]
    return " and".join(parts)
