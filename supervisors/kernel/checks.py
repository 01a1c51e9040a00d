"""Checks that specifications share; each failure names the field and its value."""

import math

from supervisors.kernel.errors import SpecError


def require_positive(owner: str, **seconds: float) -> None:
    """Refuse what is not a finite number above zero (not-a-number included)."""
    for field, value in seconds.items():
        if not 0 < value < math.inf:
            raise SpecError(f"{owner}: {field}={value:g} must be finite and above 0")


def require_not_negative(owner: str, **seconds: float) -> None:
    """Refuse what is not a finite number of at least zero (not-a-number included)."""
    for field, value in seconds.items():
        if not 0 <= value < math.inf:
            raise SpecError(f"{owner}: {field}={value:g} must be finite and not negative")


def require_name(kind: str, name: str) -> None:
    """Refuse a name that cannot be one part of a path, one word of a log line and one metric label."""
    if not name or "/" in name or not name.isprintable() or any(char.isspace() for char in name):
        raise SpecError(f"{kind}: name={name!r} must be one printable word without '/'")
