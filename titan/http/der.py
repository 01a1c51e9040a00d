"""The one fact about a certificate that the standard library does not give: when it ends (X.509 in DER, RFC 5280)."""

from datetime import UTC, datetime

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_SKIPPED = 3  # serial number, signature algorithm, issuer


def not_after(certificate: bytes) -> float:
    """Return the end of a certificate's validity in seconds since the epoch; raise ValueError where it is none."""
    try:
        _, to_be_signed, _ = _element(_content(certificate, _SEQUENCE), 0)
        tag, _, after_version = _element(to_be_signed, 0)
        position = after_version if tag == _VERSION else 0
        for _ in range(_SKIPPED):
            _, _, position = _element(to_be_signed, position)
        _, validity, _ = _element(to_be_signed, position)
        _, _, after_not_before = _element(validity, 0)
        tag, end, _ = _element(validity, after_not_before)
    except IndexError:
        raise ValueError("no X.509 certificate") from None
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(tag, "")
    return datetime.strptime(end.decode("ascii"), form).replace(tzinfo=UTC).timestamp()


def _content(data: bytes, expected: int) -> bytes:
    tag, content, _ = _element(data, 0)
    if tag != expected:
        raise ValueError("no X.509 certificate")
    return content


def _element(data: bytes, position: int) -> tuple[int, bytes, int]:
    """Return tag, content and the position behind an element; raise IndexError where it is cut off."""
    tag, length, start = data[position], data[position + 1], position + 2
    if length >= 0x80:
        size = length - 0x80
        length = int.from_bytes(data[start : start + size])
        start += size
    end = start + length
    if end > len(data):
        raise IndexError
    return tag, data[start:end], end
