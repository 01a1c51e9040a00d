"""Names of the contract and their numbers in the database and on the wire, in one place."""

from hashlib import blake2b

from titan.store.contract import ChangeType, Document, Field, Kind, Term, WriteMode
from titan.store.sqlite import transactions, wire

KIND = {Kind.SHELL: 1, Kind.SUBMODEL: 2, Kind.CONCEPT_DESCRIPTION: 3}
KIND_OF = {number: kind for kind, number in KIND.items()}

FIELD = {
    Field.ID_SHORT: 1,
    Field.SEMANTIC_ID: 2,
    Field.ASSET_ID: 3,
    Field.IS_CASE_OF: 4,
    Field.DATA_SPECIFICATION: 5,
}

MODE = {WriteMode.CREATE: wire.CREATE, WriteMode.REPLACE: wire.REPLACE, WriteMode.PUT: wire.PUT}

CHANGE_OF = {
    transactions.TYPE_CREATED: ChangeType.CREATED,
    transactions.TYPE_UPDATED: ChangeType.UPDATED,
    transactions.TYPE_DELETED: ChangeType.DELETED,
}


def term(value: Term) -> tuple[int, bytes]:
    """Return a term as it is indexed. 16 bytes: two values meet by chance once in 2^64 terms."""
    digest = blake2b(value.value.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return FIELD[value.field], digest


def document(value: Document) -> transactions.Document:
    """Return a document as it goes to the writer process."""
    elements = None
    if value.elements is not None:
        elements = tuple((each.id_short, each.content_without_blobs, each.content) for each in value.elements)
    terms = tuple(term(each) for each in value.terms)
    return KIND[value.kind], value.id, value.header, elements, terms, tuple(value.blobs)
