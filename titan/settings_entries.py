"""Settings that are lists of entries: which entry and field an error is about, and what is allowed there."""

import difflib
from typing import Any

from titan.printable import printable
from titan.settings_marks import Entry
from titan.settings_text import allowed, given_entries, shown_field

Location = tuple[int | str, ...]


def explain_entry(entry: type[Entry], location: Location, item: Any, given: object) -> str:
    """Say of one error which entry and field it is about, the value where that may be shown, and what is allowed.

    `location` begins with the entry's number, `item` is pydantic's error, `given` the whole setting as it was given.
    """
    number, *path = location
    entries = given_entries(given) or []
    one = entries[number] if isinstance(number, int) and number < len(entries) else None
    called = one.get("name") if isinstance(one, dict) else None
    subject = f"[{number}] ({printable(called)})" if isinstance(called, str) and called else f"[{number}]"
    if not path:
        rule = str(item["ctx"]["error"]) if item["type"] == "value_error" else "must be an object with named fields"
        return f"{subject}: {rule}"
    name = str(path[0])
    if item["type"] == "missing":
        return f"{subject}: {name} must be given"
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, entry.model_fields, n=1, cutoff=0.6)
        return f"{subject}: no such field {printable(name)}" + (f"; did you mean {near[0]}?" if near else "")
    own = item["type"] == "value_error"
    rule = str(item["ctx"]["error"]) if own else f"must be {allowed(entry.model_fields[name])}"
    return f"{subject}: {name} = {shown_field(entry, name, item['input'])}: {rule}"
