"""gzip where the client takes it and it pays; a large body is compressed off the loop's thread."""

import gzip
import re

import trio

from titan.api.messages import Response

MIN_BYTES = 1024
"""Below this the saving is less than a packet."""
THREAD_BYTES = 64 * 1024
"""From here on compressing takes longer (about 1 ms) than handing the work to a thread."""
LEVEL = 5

_COMPRESSIBLE = re.compile(r"(text/.*|application/(.*\+)?(json|xml|openmetrics-text)|image/svg\+xml)(;.*)?")
_SUFFIX = '-gzip"'


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Say whether gzip may be used (RFC 9110, 12.5.3).

    Without the header anything would be allowed; but who leaves it out is who cannot decode.
    """
    if not accept_encoding:
        return False
    weights = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        weights[coding.strip()] = _weight(parameter)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weight(parameter: str) -> float:
    """Read `q=0.5`; what is malformed counts as a refusal, since plain bytes are always understood."""
    if not parameter.strip():
        return 1.0
    name, _, value = parameter.partition("=")
    digits = value.strip()
    is_number = digits.isascii() and digits.replace(".", "", 1).isdigit()
    return float(digits) if name.strip() == "q" and is_number and len(digits) <= 5 and float(digits) <= 1 else 0.0


def is_compressible(response: Response) -> bool:
    """Say whether this answer has a compressed form at all."""
    return (
        isinstance(response.body, bytes)
        and len(response.body) >= MIN_BYTES
        and response.media_type is not None
        and (response.media_type == "application/json" or _COMPRESSIBLE.fullmatch(response.media_type) is not None)
        and not any(name.lower() == "content-encoding" for name, _ in response.headers)
    )


async def compress(body: bytes) -> bytes:
    """Return the gzip form; the same bytes for the same body."""
    if len(body) < THREAD_BYTES:
        return gzip.compress(body, LEVEL, mtime=0)
    return await trio.to_thread.run_sync(lambda: gzip.compress(body, LEVEL, mtime=0))


def coded_etag(etag: str) -> str:
    """Return the entity tag of the gzip form: a strong one must differ per coding (RFC 9110, 8.8.3.3).

    `titan.api.conditions` knows the suffix, so that what a client got compressed serves as its `If-Match`.
    """
    return etag[:-1] + _SUFFIX if etag.endswith('"') and not etag.startswith("W/") else etag


def names_coded_etag(condition: str) -> bool:
    """Say whether a condition names the entity tag of a gzip form."""
    return _SUFFIX in condition
