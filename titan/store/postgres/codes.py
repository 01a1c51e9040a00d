"""Names of the contract and what stands for them in the database, in one place."""

from collections.abc import Iterable
from hashlib import blake2b

from titan.store.codes import KIND
from titan.store.contract import ChangeType, Created, Deleted, Done, Kind, Replaced

CREATED, REPLACED, DELETED = 1, 2, 3
CHANGE_OF = {CREATED: ChangeType.CREATED, REPLACED: ChangeType.UPDATED, DELETED: ChangeType.DELETED}

NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
"""The database's clock: one for all instances."""

POSITION_STEP = 1 << 20
"""Distance of neighbouring elements: 20 insertions at the same place before a submodel is numbered anew."""


def pack_terms(terms: Iterable[tuple[int, bytes]]) -> bytes:
    """Put terms one after the other, as `terms_of` takes them apart."""
    return b"".join(bytes([field]) + value for field, value in terms)


def terms_of(parameter: str) -> str:
    """Return the SQL that makes rows `t (field, digest)` of packed terms."""
    packed = f"{parameter}::bytea"
    return (
        f"(SELECT get_byte({packed}, i * 17)::smallint AS field, substring({packed}, i * 17 + 2, 16) AS digest"
        f" FROM generate_series(0, length({packed}) / 17 - 1) AS i) AS t"
    )


def digest(document_id: str) -> bytes:
    """Return what stands for an id in the unique index."""
    return blake2b(document_id.encode(), digest_size=32).digest()


def lock_key(kind: Kind, id_digest: bytes) -> int:
    """Return the advisory lock of a document: whoever may create or delete it holds it.

    Two documents with one key by chance wait for each other without need, nothing worse.
    """
    return int.from_bytes(id_digest[:8], signed=True) ^ KIND[kind]


def claim_keys(scope: bytes) -> tuple[int, int]:
    """Return the advisory lock of an idempotency key, in the server's other space of keys."""
    hashed = blake2b(scope, digest_size=8).digest()
    return int.from_bytes(hashed[:4], signed=True), int.from_bytes(hashed[4:], signed=True)


def done(code: int, revision: int, modified_ms: int, mark: int) -> Done:
    """Return the outcome of a write that was carried out."""
    match code:
        case 1:
            return Created(revision, modified_ms, mark=mark)
        case 2:
            return Replaced(revision, modified_ms, mark=mark)
    return Deleted(revision, mark=mark)
