"""From a client's JSON to a document that the store keeps, or to what is wrong with it.

What is kept is the client's own JSON in compact form, never a re-serialisation: it comes back equal, nothing added or
lost. The order of members is kept too, but for `submodelElements`, which comes last.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from titan.model import elements as tree
from titan.model.files import blobs_of
from titan.model.identifiers import identifier_fault
from titan.model.strict_json import MAX_DEPTH, JsonError
from titan.model.strict_json import parse as parse_json
from titan.model.terms import terms_of
from titan.model.verification import Violation, parse, violations
from titan.store.contract import Document, Element, Kind

_BLOB = b'"Blob"'


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that may be written; `violations` is empty unless it was prepared leniently."""

    document: Document
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class Unacceptable:
    """A document that may not: why, one entry per fault, at least one."""

    violations: tuple[Violation, ...]


def prepare(kind: Kind, raw: bytes, *, lenient: bool = False, max_depth: int = MAX_DEPTH) -> Prepared | Unacceptable:
    """Parse and verify a JSON text. Lenient accepts what breaks constraints only and reports it."""
    value = parse_json(raw, max_depth=max_depth)
    if isinstance(value, JsonError):
        return Unacceptable((Violation("", str(value)),))
    return prepare_value(kind, value, lenient=lenient)


def prepare_value(kind: Kind, value: Any, *, lenient: bool = False) -> Prepared | Unacceptable:
    """Do the same with a value that came out of `strict_json.parse`."""
    try:
        instance = parse(kind, value)
    except ValueError:  # aas-core decodes Blob values and lets the decoder's error through, without a path
        return Unacceptable(tuple(_undecodable_blobs(value)))
    if isinstance(instance, Violation):
        return Unacceptable((instance,))
    fault = identifier_fault(value["id"])
    if fault is not None:
        return Unacceptable((Violation("id", fault),))
    document = _document(kind, value)
    found = (*violations(instance), *_foreign_base64(document, value))
    if found and not lenient:
        return Unacceptable(found)
    return Prepared(document, found)


def assemble(document: Document) -> bytes:
    """Return the whole document as JSON, as a store gives it back with Blob values."""
    if document.elements is None:
        return document.header
    joined = b",".join([element.content for element in document.elements])
    return b'%b,"submodelElements":[%b]}' % (document.header[:-1], joined)


def _document(kind: Kind, value: dict[str, Any]) -> Document:
    members = value.get("submodelElements") if kind is Kind.SUBMODEL else None
    header = value
    if members is not None:
        header = {name: member for name, member in value.items() if name != "submodelElements"}
        members = tuple([_element(member) for member in members])
    return Document(kind, value["id"], orjson.dumps(header), members, terms_of(kind, value), blobs_of(kind, value))


def _element(value: dict[str, Any]) -> Element:
    content = orjson.dumps(value)
    bare = None
    if _BLOB in content:
        without = tree.transform(value, tree.without_blob_value)
        bare = orjson.dumps(without)
        bare = None if bare == content else bare
    return Element(value.get("idShort"), content, bare)


def _undecodable_blobs(value: dict[str, Any]) -> Iterator[Violation]:
    for path, text in tree.blobs(value["submodelElements"]):
        try:
            base64.b64decode(text.encode("ascii"))
        except (UnicodeEncodeError, binascii.Error):
            yield Violation(path, "is not base64")


def _foreign_base64(document: Document, value: dict[str, Any]) -> Iterator[Violation]:
    """Report what a lax decoder skips: characters outside the alphabet, line feeds, text after the padding."""
    if any(element.content_without_blobs is not None for element in document.elements or ()):
        for path, text in tree.blobs(value["submodelElements"]):
            try:
                binascii.a2b_base64(text, strict_mode=True)
            except binascii.Error:
                yield Violation(path, "is not strictly base64 (RFC 4648)")
