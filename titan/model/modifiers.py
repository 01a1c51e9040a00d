"""Serialization modifiers of the API that change a document (IDTA-01002, "SerializationModifiers"): level."""

from typing import Any

import orjson

from titan.model.elements import CHILDREN


def core(body: bytes) -> bytes:
    """Return a submodel's JSON for `level=core`: with its elements, but without what these contain."""
    document: dict[str, Any] = orjson.loads(body)
    elements = document.get("submodelElements")
    if elements is None:
        return body
    document["submodelElements"] = [_without_children(element) for element in elements]
    return orjson.dumps(document)


def _without_children(element: dict[str, Any]) -> dict[str, Any]:
    member = CHILDREN.get(element["modelType"])
    if member is not None:
        element.pop(member, None)
    return element
