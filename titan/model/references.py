"""One canonical text per thing that documents are found by; documents are indexed and filters are asked in it."""

from typing import Any

import orjson

from titan.store.contract import Kind

KEY_TYPES = {
    Kind.SHELL: "AssetAdministrationShell",
    Kind.SUBMODEL: "Submodel",
    Kind.CONCEPT_DESCRIPTION: "ConceptDescription",
}
"""What a key that leads to a document is of."""

GLOBAL_ASSET_ID = "globalAssetId"
"""The name under which `assetIds` asks for AssetInformation/globalAssetId (constraint AASd-116)."""


def canonical_reference(reference: dict[str, Any]) -> str:
    """Return a text that two references share exactly if they have the same type and the same keys in order.

    The API leaves open how its filters match (aas-specs-api issue 342). This is Part 1's exact matching, but for
    `referredSemanticId`: it says what the target means, not which it is, and clients leave it out when they ask.
    """
    keys = [[key["type"], key["value"]] for key in reference["keys"]]
    return orjson.dumps([reference["type"], keys]).decode()


def canonical_asset_id(name: str, value: str, external_subject: dict[str, Any] | None = None) -> str:
    """Return a text that two asset ids share exactly if name and value, and the subject if given, are the same."""
    parts = [name, value]
    if external_subject is not None:
        parts.append(canonical_reference(external_subject))
    return orjson.dumps(parts).decode()


def model_reference(kind: Kind, document_id: str) -> dict[str, Any]:
    """Return the reference that leads to a document of a server (IDTA-01001: a ModelReference with one key)."""
    return {"type": "ModelReference", "keys": [{"type": KEY_TYPES[kind], "value": document_id}]}
