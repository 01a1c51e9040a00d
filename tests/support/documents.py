"""Documents that tests write."""

from typing import Any

Json = dict[str, Any]


def reference(value: str = "urn:example:concept", key: str = "GlobalReference") -> Json:
    kind = "ExternalReference" if key == "GlobalReference" else "ModelReference"
    return {"type": kind, "keys": [{"type": key, "value": value}]}


def shell(identifier: str = "urn:example:shell:1", **members: Any) -> Json:
    return {
        "modelType": "AssetAdministrationShell",
        "id": identifier,
        "assetInformation": {"assetKind": "Instance", "globalAssetId": f"{identifier}:asset"},
        **members,
    }


def submodel(identifier: str = "urn:example:submodel:1", **members: Any) -> Json:
    return {"modelType": "Submodel", "id": identifier, **members}


def concept_description(identifier: str = "urn:example:concept:1", **members: Any) -> Json:
    return {"modelType": "ConceptDescription", "id": identifier, **members}


def prop(id_short: str = "Speed", value: str = "7") -> Json:
    return {"modelType": "Property", "idShort": id_short, "valueType": "xs:int", "value": value}


def blob(id_short: str = "Picture", value: str = "UGljdHVyZQ==") -> Json:
    return {"modelType": "Blob", "idShort": id_short, "contentType": "image/png", "value": value}


def collection(id_short: str = "Group", *children: Json) -> Json:
    return {"modelType": "SubmodelElementCollection", "idShort": id_short, "value": list(children)}
