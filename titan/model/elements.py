"""Where submodel elements stand inside each other (IDTA-01001: SubmodelElement and its kinds)."""

from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]

CHILDREN = {
    "SubmodelElementCollection": "value",
    "SubmodelElementList": "value",
    "Entity": "statements",
    "AnnotatedRelationshipElement": "annotations",
}
"""The member that holds an element's children, by model type; these are what an idShortPath walks through."""

VARIABLES = ("inputVariables", "outputVariables", "inoutputVariables")
"""Members of an Operation whose items hold one element each, as `value`; no idShortPath leads there."""


def transform(element: Json, change: Callable[[Json], Json]) -> Json:
    """Return the element with `change` applied to it and every element below; what does not change is shared."""
    changed = change(element)
    model_type = changed.get("modelType")
    member = CHILDREN.get(model_type) if isinstance(model_type, str) else None
    if member is not None and member in changed:
        changed = _with(changed, member, [transform(child, change) for child in changed[member]])
    elif model_type == "Operation":
        for member in VARIABLES:
            if member in changed:
                variables = [_with(item, "value", transform(item["value"], change)) for item in changed[member]]
                changed = _with(changed, member, variables)
    return changed


def _with(value: Json, member: str, new: Any) -> Json:
    return {name: new if name == member else old for name, old in value.items()}


def without_blob_value(element: Json) -> Json:
    """Leave the value out of a Blob (`extent=withoutBlobValue`); any other element comes back as it is."""
    if element.get("modelType") != "Blob" or "value" not in element:
        return element
    return {name: value for name, value in element.items() if name != "value"}


def blobs(elements: list[Json], prefix: str = "submodelElements") -> Iterator[tuple[str, str]]:
    """Yield path and value of every Blob at any depth that has a value."""
    for index, element in enumerate(elements):
        yield from _blobs_of(element, f"{prefix}[{index}]")


def _blobs_of(element: Json, path: str) -> Iterator[tuple[str, str]]:
    model_type = element.get("modelType")
    if model_type == "Blob" and isinstance(element.get("value"), str):
        yield f"{path}.value", element["value"]
    elif model_type == "Operation":
        for member in VARIABLES:
            for index, item in enumerate(element.get(member, ())):
                yield from _blobs_of(item["value"], f"{path}.{member}[{index}].value")
    elif model_type in CHILDREN:
        member = CHILDREN[model_type]
        yield from blobs(element.get(member, []), f"{path}.{member}")
