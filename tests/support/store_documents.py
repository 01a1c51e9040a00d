"""Small documents for tests of stores."""

import json

from titan.store.contract import Document, Element, Field, Kind, Term


def document(
    document_id: str = "urn:test:one",
    *,
    kind: Kind = Kind.SHELL,
    text: str = "",
    terms: tuple[tuple[Field, str], ...] = (),
) -> Document:
    """Make a document without elements whose content tells it from others of the same id by `text`."""
    header = json.dumps({"id": document_id, "text": text}, ensure_ascii=False).encode()
    return Document(kind, document_id, header, terms=frozenset(Term(*term) for term in terms))


def submodel(document_id: str = "urn:test:submodel", *elements: tuple[str, str], blob: str | None = None) -> Document:
    """Make a submodel of properties (idShort and value); `blob` adds one element with a Blob value."""
    made = [
        Element(id_short, json.dumps({"idShort": id_short, "value": value}, ensure_ascii=False).encode())
        for id_short, value in elements
    ]
    if blob is not None:
        made.append(
            Element(
                "blob",
                json.dumps({"idShort": "blob", "value": blob}).encode(),
                json.dumps({"idShort": "blob"}).encode(),
            )
        )
    header = json.dumps({"id": document_id}, ensure_ascii=False).encode()
    return Document(Kind.SUBMODEL, document_id, header, tuple(made))
