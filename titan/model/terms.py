"""What a document can be found by, taken from its JSON once its structure is known to be sound."""

from collections.abc import Iterator
from typing import Any

from titan.model.references import GLOBAL_ASSET_ID, canonical_asset_id, canonical_reference
from titan.store.contract import Field, Kind, Term


def terms_of(kind: Kind, value: dict[str, Any]) -> frozenset[Term]:
    """Return the search terms of a document."""
    terms = set(_TERMS[kind](value))
    if "idShort" in value:
        terms.add(Term(Field.ID_SHORT, value["idShort"]))
    return frozenset(terms)


def _shell(value: dict[str, Any]) -> Iterator[Term]:
    information = value["assetInformation"]
    if "globalAssetId" in information:
        yield Term(Field.ASSET_ID, canonical_asset_id(GLOBAL_ASSET_ID, information["globalAssetId"]))
    for asset_id in information.get("specificAssetIds", ()):
        name, text = asset_id["name"], asset_id["value"]
        yield Term(Field.ASSET_ID, canonical_asset_id(name, text))
        if "externalSubjectId" in asset_id:
            yield Term(Field.ASSET_ID, canonical_asset_id(name, text, asset_id["externalSubjectId"]))


def _submodel(value: dict[str, Any]) -> Iterator[Term]:
    if "semanticId" in value:
        yield Term(Field.SEMANTIC_ID, canonical_reference(value["semanticId"]))
    for reference in value.get("supplementalSemanticIds", ()):
        yield Term(Field.SEMANTIC_ID, canonical_reference(reference))


def _concept_description(value: dict[str, Any]) -> Iterator[Term]:
    for reference in value.get("isCaseOf", ()):
        yield Term(Field.IS_CASE_OF, canonical_reference(reference))
    for specification in value.get("embeddedDataSpecifications", ()):
        yield Term(Field.DATA_SPECIFICATION, canonical_reference(specification["dataSpecification"]))


_TERMS = {Kind.SHELL: _shell, Kind.SUBMODEL: _submodel, Kind.CONCEPT_DESCRIPTION: _concept_description}
