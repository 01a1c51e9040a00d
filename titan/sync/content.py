"""Contents compared: one digest for every way to write the same JSON, and what to do where two differ."""

from enum import StrEnum
from hashlib import blake2b

import orjson

from titan.store.sync_records import Followed


def digest_of(body: bytes) -> bytes:
    """Return the digest of what a JSON text says: the order of members aside, everything counts.

    Raises `ValueError` for what is no JSON.
    """
    canonical = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    return blake2b(canonical, digest_size=32).digest()


class Verdict(StrEnum):
    """What to do with a document here, given the one there."""

    EQUAL = "equal"
    TAKE = "take"  # what is there replaces what is here
    KEEP = "keep"  # what is here stays


def decide(there: bytes, here: bytes | None, known: Followed | None) -> Verdict:
    """Decide by digests; `here` is None where there is no such document.

    The other server wins, but for two cases in which nothing new came from there:

    * The document was here before any pull, and is there as it was when last seen: the change was made here, at its
      home. The other server takes it from here if it pulls from here.
    * Both pulled from each other at the same time and changed places: there is now what gave way here, and here what
      was there. The greater digest stays, on both sides alike, and once: had the other side not pulled at all but gone
      back to the old content, then it wins the next time.
    """
    if there == here:
        return Verdict.EQUAL
    if known is None:
        return Verdict.TAKE
    if not known.is_copy and there == known.digest:
        return Verdict.KEEP
    if here is not None and there == known.gave_way and here == known.digest:
        return Verdict.KEEP if here > there else Verdict.TAKE
    return Verdict.TAKE
