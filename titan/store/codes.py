"""How both stores keep what the contract names: kinds and fields as numbers, terms as digests, bodies in two parts."""

from hashlib import blake2b

from titan.store.contract import Field, Kind, Term

KIND = {Kind.SHELL: 1, Kind.SUBMODEL: 2, Kind.CONCEPT_DESCRIPTION: 3}
KIND_OF = {number: kind for kind, number in KIND.items()}

FIELD = {
    Field.ID_SHORT: 1,
    Field.SEMANTIC_ID: 2,
    Field.ASSET_ID: 3,
    Field.IS_CASE_OF: 4,
    Field.DATA_SPECIFICATION: 5,
}


def term(value: Term) -> tuple[int, bytes]:
    """Return a term as it is indexed. 16 bytes: two values meet by chance once in 2^64 terms."""
    digest = blake2b(value.value.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return FIELD[value.field], digest


def spliced(header: bytes, elements: bytes) -> bytes:
    """Put a document's header and its elements, with commas between them, together again."""
    comma = b"" if header == b"{}" else b","
    return b"".join((header[:-1], comma, b'"submodelElements":[', elements, b"]}"))
