"""The example that the repository carries is complete in kind, so that showing it shows everything."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[1] / "deploy/examples/pump-station.json"
ELEMENTS = {
    "AnnotatedRelationshipElement",
    "BasicEventElement",
    "Blob",
    "Capability",
    "Entity",
    "File",
    "MultiLanguageProperty",
    "Operation",
    "Property",
    "Range",
    "ReferenceElement",
    "RelationshipElement",
    "SubmodelElementCollection",
    "SubmodelElementList",
}


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from objects(member)
    elif isinstance(value, list):
        for member in value:
            yield from objects(member)


ENVIRONMENT = json.loads(EXAMPLE.read_text())
OBJECTS = list(objects(ENVIRONMENT))


def values(member: str) -> set[str]:
    return {found[member] for found in OBJECTS if isinstance(found.get(member), str)}


def test_it_has_all_identifiables_and_all_element_types():
    assert set(ENVIRONMENT) == {"assetAdministrationShells", "submodels", "conceptDescriptions"}
    assert len(ELEMENTS) == 14
    assert values("modelType") == ELEMENTS | {
        "AssetAdministrationShell",
        "Submodel",
        "ConceptDescription",
        "DataSpecificationIec61360",
    }


def test_it_has_what_documents_may_have():
    members = {name for found in OBJECTS for name in found}
    assert members >= {
        "administration", "annotations", "assetType", "defaultThumbnail", "derivedFrom", "description", "displayName",
        "embeddedDataSpecifications", "extensions", "externalSubjectId", "globalAssetId", "inoutputVariables",
        "inputVariables", "isCaseOf", "levelType", "messageBroker", "outputVariables", "qualifiers",
        "referredSemanticId", "refersTo", "semanticId", "semanticIdListElement", "specificAssetIds", "statements",
        "supplementalSemanticIds", "templateId", "valueId", "valueList",
    }  # fmt: skip
    assert values("kind") >= {"Instance", "Template", "ConceptQualifier", "TemplateQualifier", "ValueQualifier"}
    assert values("assetKind") == {"Instance", "Type"}
    assert values("entityType") == {"CoManagedEntity", "SelfManagedEntity"}
    assert values("language") >= {"de", "en", "fr", "ja"}
    assert len({kind for kind in values("valueType") if kind.startswith("xs:")}) >= 18


def test_several_shells_share_a_submodel_and_every_reference_to_one_leads_somewhere():
    ids = {submodel["id"] for submodel in ENVIRONMENT["submodels"]}
    used = Counter(
        reference["keys"][0]["value"]
        for shell in ENVIRONMENT["assetAdministrationShells"]
        for reference in shell["submodels"]
    )
    assert set(used) <= ids
    assert max(used.values()) == 3
