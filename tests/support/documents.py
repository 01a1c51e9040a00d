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


def complete_submodel(identifier: str = "urn:example:submodel:complete") -> Json:
    """A submodel with every kind of element and nearly every member."""
    common = {
        "displayName": [{"language": "en", "text": "Name"}],
        "description": [{"language": "de", "text": "Größe ✓ 😀"}],
        "category": "VARIABLE",
        "semanticId": reference("urn:example:semantics"),
        "supplementalSemanticIds": [reference("urn:example:more")],
        "qualifiers": [{"type": "unit", "valueType": "xs:string", "value": "kg", "kind": "ValueQualifier"}],
        "extensions": [{"name": "origin", "valueType": "xs:anyURI", "value": "http://example.org/a?b#c"}],
        "embeddedDataSpecifications": [
            {
                "dataSpecification": reference("urn:example:specification"),
                "dataSpecificationContent": {
                    "modelType": "DataSpecificationIec61360",
                    "preferredName": [{"language": "en", "text": "Speed"}],
                    "definition": [{"language": "en", "text": "How fast it turns"}],
                    "unit": "1/min",
                    "dataType": "REAL_MEASURE",
                    "levelType": {"min": True, "nom": False, "typ": False, "max": True},
                    "valueList": {"valueReferencePairs": [{"value": "1", "valueId": reference("urn:example:one")}]},
                },
            }
        ],
    }
    path = {
        "type": "ModelReference",
        "keys": [{"type": "Submodel", "value": identifier}, {"type": "Property", "value": "Speed"}],
    }
    elements: list[Json] = [
        prop() | common | {"valueId": reference()},
        {
            "modelType": "MultiLanguageProperty",
            "idShort": "Label",
            "value": [{"language": "en", "text": "a"}],
            "valueId": reference(),
        },
        {"modelType": "Range", "idShort": "Limits", "valueType": "xs:double", "min": "0", "max": "1E3"},
        {
            "modelType": "File",
            "idShort": "Manual",
            "contentType": "application/pdf",
            "value": "/aasx/manual%20one.pdf",
        },
        blob(),
        {"modelType": "ReferenceElement", "idShort": "See", "value": path},
        {"modelType": "RelationshipElement", "idShort": "Related", "first": path, "second": reference()},
        {
            "modelType": "AnnotatedRelationshipElement",
            "idShort": "Annotated",
            "first": path,
            "second": path,
            "annotations": [prop("Weight"), blob("Seal")],
        },
        {"modelType": "Capability", "idShort": "CanTurn"},
        {
            "modelType": "Operation",
            "idShort": "Start",
            "inputVariables": [{"value": prop("In")}],
            "outputVariables": [{"value": blob("Out")}],
            "inoutputVariables": [{"value": prop("InOut")}],
        },
        {
            "modelType": "Entity",
            "idShort": "Part",
            "entityType": "SelfManagedEntity",
            "specificAssetIds": [{"name": "serial", "value": "1", "externalSubjectId": reference("urn:example:who")}],
            "statements": [prop("Count"), blob("Drawing")],
        },
        {
            "modelType": "BasicEventElement",
            "idShort": "Changed",
            "observed": path,
            "direction": "output",
            "state": "on",
            "messageTopic": "speed",
            "messageBroker": path,
            "lastUpdate": "2026-01-01T00:00:00Z",
            "minInterval": "PT1S",
            "maxInterval": "PT1H",
        },
        {
            "modelType": "SubmodelElementList",
            "idShort": "Items",
            "orderRelevant": True,
            "typeValueListElement": "SubmodelElementCollection",
            "value": [{"modelType": "SubmodelElementCollection", "value": [blob("Inner")]}],
        },
        collection("Group", prop("Leaf"), collection("Deeper", blob("Deep"))),
    ]
    administration = {"version": "1", "revision": "0", "creator": reference(), "templateId": "urn:example:template"}
    return {
        "modelType": "Submodel",
        "id": identifier,
        "idShort": "Complete",
        "kind": "Instance",
        "administration": administration,
        **common,
        "submodelElements": elements,
    }


def complete_shell(identifier: str = "urn:example:shell:complete") -> Json:
    """A shell with nearly every member."""
    return {
        "modelType": "AssetAdministrationShell",
        "id": identifier,
        "idShort": "Complete",
        "derivedFrom": reference("urn:example:type", "AssetAdministrationShell"),
        "assetInformation": {
            "assetKind": "Instance",
            "globalAssetId": "urn:example:asset",
            "assetType": "urn:example:asset-type",
            "defaultThumbnail": {"path": "/aasx/thumbnail.png", "contentType": "image/png"},
            "specificAssetIds": [
                {
                    "name": "serial",
                    "value": "4711",
                    "externalSubjectId": reference("urn:example:maker"),
                    "semanticId": reference("urn:example:serial"),
                }
            ],
        },
        "submodels": [reference("urn:example:submodel:complete", "Submodel")],
        "extensions": [{"name": "note", "value": "x"}],
    }


def complete_concept_description(identifier: str = "urn:example:concept:complete") -> Json:
    """A concept description with nearly every member."""
    return {
        "modelType": "ConceptDescription",
        "id": identifier,
        "idShort": "Complete",
        "isCaseOf": [reference("urn:example:case")],
        "embeddedDataSpecifications": complete_submodel()["embeddedDataSpecifications"],
    }
