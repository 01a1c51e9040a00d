r"""aas-core's text patterns in forms that hostile text cannot make expensive.

Some of its regular expressions take time quadratic in the text, or linear with a factor of 20 us a character, or keep
100 bytes of memory a character (measured: a language tag of 4 MB took 2.7 s and 1.3 GB). `re` holds the interpreter
lock all the while, so no thread helps: one such value would freeze the server. Others hand thousands of digits to
`int`, which raises, or let a line feed pass at the end (`$` matches before it).

The forms here accept the same texts (tested against the originals on generated ones), with these exceptions, all of
them violations anyway or beyond any use: a final line feed; an idShort or content type of more than 128 characters; a
language tag of more than 256; a date or a bounded integer of more than 4,000 digits; an IPv6 address of more than 16
groups.
"""

import base64
import binascii
import re
from collections.abc import Callable

from aas_core3_1 import verification

_UNRESERVED = r"A-Za-z0-9\-_.!~*'()%"  # with % of escapes, which are checked as a whole up front
_AUTHORITY = _UNRESERVED + "$,;:@&=+"
_ESCAPES = r"(?!.*%(?![0-9A-Fa-f]{2}))"
_SCHEME = r"[A-Za-z][A-Za-z0-9+\-.]*+:"
_GROUPS = "[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,15}"
_IPV6 = rf"\[(?:{_GROUPS}|(?:{_GROUPS})?::(?:{_GROUPS})?)(?::[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}})?\]"
_IPV6_HOST = rf"//(?:[{_UNRESERVED};:&=+$,]*+@)?{_IPV6}(?::[0-9]*+)?(?:/[{_AUTHORITY}/]*+)?"


def _uri(brackets: str, host: str) -> re.Pattern[str]:
    """RFC 2396: what its net_path allows is part of what its abs_path allows, but for a host in brackets (RFC 2732)."""
    anything = rf"[{_AUTHORITY}/?{brackets}]*+"
    hierarchical = rf"(?:{host}/[{_AUTHORITY}/]*+)(?:\?{anything})?"
    opaque = rf"[{_UNRESERVED};?:@&=+$,]{anything}"
    relative = rf"[{_UNRESERVED};@&=+$,]++(?:/[{_AUTHORITY}/]*+)?(?:\?{anything})?"
    reference = rf"(?:{_SCHEME}(?:{hierarchical}|{opaque})|{hierarchical}|{relative})?"
    return re.compile(rf"{_ESCAPES}{reference}(?:#{anything})?\Z", re.DOTALL)


class _Check:
    """Looks like a compiled pattern to aas-core, which asks `match` and whether there is something."""

    def __init__(self, check: Callable[[str], bool]) -> None:
        self._check = check

    def match(self, text: str) -> bool | None:
        """Return True where the text is fine, None where it is not."""
        return self._check(text) or None


_HEX = re.compile("[0-9A-Fa-f]*")


def _is_hex_binary(text: str) -> bool:
    return len(text) % 2 == 0 and _HEX.fullmatch(text) is not None


def _is_base64_binary(text: str) -> bool:
    """xs:base64Binary: canonical base64 with single spaces between, not around."""
    if "  " in text or text.startswith(" ") or text.endswith(" "):
        return False
    digits = text.replace(" ", "")
    try:
        return base64.b64encode(binascii.a2b_base64(digits, strict_mode=True)).decode() == digits
    except (binascii.Error, ValueError):
        return False


_BOUNDED_INTEGERS = ("BYTE", "INT", "LONG", "SHORT", "UNSIGNED_BYTE", "UNSIGNED_INT", "UNSIGNED_LONG", "UNSIGNED_SHORT")
_DIGITS_TO_INT = [f"XS_{name}" for name in ("DATE", "DATE_TIME", "DATE_TIME_UTC", *_BOUNDED_INTEGERS)]
_BOUNDED = {"BCP_47": 256, "ID_SHORT": 128, "MIME_TYPE": 128} | dict.fromkeys(_DIGITS_TO_INT, 4000)
_REWRITTEN: dict[str, re.Pattern[str] | _Check] = {
    "RFC_2396": _uri("", ""),
    "XS_ANY_URI": _uri(r"\[\]", f"{_IPV6_HOST}|"),
    "XS_BASE_64_BINARY": _Check(_is_base64_binary),
    "XS_HEX_BINARY": _Check(_is_hex_binary),
}
_UNUSED = {"RFC_8089_PATH"}  # defined by aas-core, used nowhere: paths are checked as RFC 2396

ORIGINALS: dict[str, re.Pattern[str]] = {
    name.removeprefix("_REGEX_MATCHES_"): pattern
    for name, pattern in vars(verification).items()
    if name.startswith("_REGEX_MATCHES_")
}
"""aas-core's own, by the end of their names."""


def replacement(name: str) -> re.Pattern[str] | _Check:
    """Return the form that stands in for one of `ORIGINALS`."""
    if name in _REWRITTEN:
        return _REWRITTEN[name]
    original = ORIGINALS[name].pattern
    bound = f"(?!.{{{_BOUNDED[name] + 1}}})" if name in _BOUNDED else ""
    return re.compile(bound + original.removesuffix("$") + r"\Z", re.DOTALL)


def install() -> None:
    """Put the forms in place of aas-core's; it looks them up by name at each use."""
    for name in ORIGINALS.keys() - _UNUSED:
        setattr(verification, f"_REGEX_MATCHES_{name}", replacement(name))
