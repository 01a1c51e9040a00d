"""Settings in words: a value as it may be shown, and what a setting allows."""

import json
import re
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from titan.printable import printable
from titan.settings import Setting
from titan.settings_marks import Entry, Secret


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
    if setting.entry is not None:
        return shown_entries(setting.entry, value)
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = text.lower() if isinstance(value, bool) else text
    return printable(mask(text) if setting.is_secret and text else text)


def is_secret(entry: type[Entry], name: str) -> bool:
    """Say whether a field is to be masked. One that there is not may be a secret with a slip of the pen in its name."""
    field = entry.model_fields.get(name)
    return field is None or any(isinstance(mark, Secret) for mark in field.metadata)


def shown_entries(entry: type[Entry], value: object) -> str:
    """Render a list of entries as it may be shown and logged: JSON of what was given, secrets masked."""
    entries = given_entries(value)
    if entries is None:
        return "***"  # a text that is no list: who knows what it holds
    rendered = [_masked(entry, one) for one in entries]
    return printable(json.dumps(rendered, ensure_ascii=False)) if rendered else ""


def given_entries(value: object) -> list[Any] | None:
    """Return the entries as they were given, whichever way; None where it is no list."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if not isinstance(value, list | tuple):
        return None
    return [one.model_dump(mode="json", exclude_unset=True) if isinstance(one, BaseModel) else one for one in value]


def _masked(entry: type[Entry], one: object) -> object:
    if not isinstance(one, dict):
        return "***"
    return {name: shown_field(entry, name, value) for name, value in one.items()}


def shown_field(entry: type[Entry], name: str, value: object) -> Any:
    """Give a field's value as it may be shown."""
    if is_secret(entry, name):
        return "***"
    if isinstance(value, str):
        return printable(mask(value) if name == "url" else value)
    return value


def allowed(field: FieldInfo) -> str:
    """Say in words which values a setting takes."""
    kind: Any = field.annotation
    if type(None) in get_args(kind):
        kind = next(arg for arg in get_args(kind) if arg is not type(None))
    if get_origin(kind) is tuple:
        return _allowed_in_list(get_args(kind)[0])
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


def _allowed_in_list(kind: type) -> str:
    if issubclass(kind, Entry):
        return "a list of entries"
    members = getattr(kind, "__members__", None)
    return f"a list of {', '.join(members.values())}" if members else "a list of texts"


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
