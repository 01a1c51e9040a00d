"""Identifiers in paths and queries: UTF-8 in base64url without padding (IDTA-01002, design decisions).

One object has one spelling, and correct padding besides: everything else is refused, because a decoder that skips
foreign characters or ignores trailing bits gives one object many URLs (caches, logs and access rules would differ).
"""

import base64
import binascii
import re
from dataclasses import dataclass

from titan.store.contract import MAX_ID_CHARACTERS

_MAX_ENCODED = -(-MAX_ID_CHARACTERS * 4 * 4 // 3)  # four bytes a character at most, four digits for three bytes
_TEXT = re.compile("[\\x09\\x0a\\x0d\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]*")


@dataclass(frozen=True, slots=True)
class InvalidIdentifier:
    """Why a text is no identifier."""

    reason: str


def is_text(value: str) -> bool:
    """Say whether only characters stand in it that the metamodel allows in any string (constraint AASd-130)."""
    return _TEXT.fullmatch(value) is not None


def identifier_fault(value: str) -> str | None:
    """Say what is wrong with a plain identifier, None where nothing is."""
    if not value:
        return "is empty"
    if len(value) > MAX_ID_CHARACTERS:
        return f"has {len(value)} characters, allowed are {MAX_ID_CHARACTERS}"
    if not is_text(value):
        return "contains characters that the metamodel does not allow (AASd-130)"
    return None


def encode_identifier(value: str) -> str:
    """Return the one spelling of an identifier in a URL."""
    return base64.urlsafe_b64encode(value.encode()).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes | InvalidIdentifier:
    """Decode strictly: the alphabet of RFC 4648 section 5 alone, no stray bits, no padding or exactly the right one."""
    digits = text.rstrip("=")
    padding = len(text) - len(digits)
    missing = -len(digits) % 4
    if padding not in (0, missing):
        return InvalidIdentifier("has wrong base64url padding")
    try:
        encoded = digits.encode("ascii")
        raw = base64.urlsafe_b64decode(encoded + b"=" * missing)
    except (UnicodeEncodeError, binascii.Error):
        return InvalidIdentifier("is not base64url")
    # The decoder drops foreign characters and ignores trailing bits; only the canonical spelling comes back the same.
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != encoded:
        return InvalidIdentifier("is not canonical base64url")
    return raw


def decode_identifier(text: str) -> str | InvalidIdentifier:
    """Return the identifier that a path segment stands for, or why it stands for none."""
    if len(text) > _MAX_ENCODED + 2:
        return InvalidIdentifier(f"is longer than an identifier of {MAX_ID_CHARACTERS} characters can be")
    raw = decode_base64url(text)
    if isinstance(raw, InvalidIdentifier):
        return raw
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        return InvalidIdentifier("is not UTF-8 behind its base64url")
    fault = identifier_fault(value)
    return value if fault is None else InvalidIdentifier(fault)
