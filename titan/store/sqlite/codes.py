"""Names of the contract and their numbers in the database and on the wire, in one place."""

from titan.store.codes import KIND, term
from titan.store.contract import ChangeType, Document, WriteMode
from titan.store.sqlite import transactions, wire

MODE = {WriteMode.CREATE: wire.CREATE, WriteMode.REPLACE: wire.REPLACE, WriteMode.PUT: wire.PUT}

CHANGE_OF = {
    transactions.TYPE_CREATED: ChangeType.CREATED,
    transactions.TYPE_UPDATED: ChangeType.UPDATED,
    transactions.TYPE_DELETED: ChangeType.DELETED,
}


def document(value: Document) -> transactions.Document:
    """Return a document as it goes to the writer process."""
    elements = None
    if value.elements is not None:
        elements = tuple((each.id_short, each.content_without_blobs, each.content) for each in value.elements)
    terms = tuple(term(each) for each in value.terms)
    return KIND[value.kind], value.id, value.header, elements, terms, tuple(value.blobs)
