"""Cursors: where a list goes on, as an opaque text that is refused when it is not one of ours."""

import base64
import binascii
import hashlib
from collections.abc import Iterable

from titan.store.contract import Term

_POSITION_BYTES = 8
_MARK_BYTES = 6


def encode_cursor(position: int, operation_id: str, terms: Iterable[Term]) -> str:
    """Return the cursor for the page after `position` of this list with these filters."""
    raw = position.to_bytes(_POSITION_BYTES, "big")
    return base64.urlsafe_b64encode(raw + _mark(raw, operation_id, terms)).decode().rstrip("=")


def decode_cursor(cursor: str, operation_id: str, terms: Iterable[Term]) -> int | None:
    """Return the position, None for anything but a cursor that this list with these filters gave out.

    The mark is no secret (a position gives nothing away): it tells typing errors and cursors of other lists.
    """
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except (UnicodeEncodeError, binascii.Error):
        return None
    position = raw[:_POSITION_BYTES]
    if len(raw) != _POSITION_BYTES + _MARK_BYTES or raw[_POSITION_BYTES:] != _mark(position, operation_id, terms):
        return None
    value = int.from_bytes(position, "big")
    return value if encode_cursor(value, operation_id, terms) == cursor else None


def _mark(position: bytes, operation_id: str, terms: Iterable[Term]) -> bytes:
    digest = hashlib.blake2b(position, digest_size=_MARK_BYTES, person=b"titan-cursor")
    for part in (operation_id, *(text for term in sorted(terms) for text in term)):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.digest()
