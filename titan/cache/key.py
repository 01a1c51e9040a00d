"""Short names for documents: what caches and the change feed's memory are keyed by."""

from hashlib import blake2b

from titan.store.codes import KIND
from titan.store.contract import Kind

KEY_BYTES = 16
"""Two documents never meet in one key by chance; by intent it would take 2^64 digests, and readers compare the id."""


def key_of(kind: Kind, document_id: str) -> bytes:
    """Return the key of a document."""
    return blake2b(document_id.encode(), digest_size=KEY_BYTES, salt=bytes((KIND[kind],))).digest()
