"""Documents of a known size for the benchmarks."""

import json
from typing import Any

PLACEHOLDER = "@ID@"


def submodel(document_id: str, size: int = 4096) -> bytes:
    """Return a valid Submodel of exactly `size` bytes: a header and about twenty properties."""
    elements: list[dict[str, Any]] = []
    document: dict[str, Any] = {
        "modelType": "Submodel",
        "id": document_id,
        "idShort": "OperatingData",
        "semanticId": {
            "type": "ExternalReference",
            "keys": [{"type": "GlobalReference", "value": "https://example.com/semantics/operating-data/1/0"}],
        },
        "submodelElements": elements,
    }
    for number in range(10_000):
        candidate = {
            "modelType": "Property",
            "idShort": f"Measurement{number:03d}",
            "valueType": "xs:double",
            "value": f"{number}.25",
            "semanticId": {
                "type": "ExternalReference",
                "keys": [{"type": "GlobalReference", "value": f"0173-1#02-AAB{number:03d}#001"}],
            },
        }
        elements.append(candidate)
        if len(_dump(document)) > size - 40:
            elements.pop()
            break
    padding = size - len(_dump(document))
    elements[-1]["value"] += "0" * padding
    return _dump(document)


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
