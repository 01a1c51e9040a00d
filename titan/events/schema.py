"""The one description of an event for programs, with an example of each kind: JSON Schema 2020-12."""

from typing import Any

from titan.events.cloudevent import ELEMENT, PREFIX, TYPES

_SHELL = {
    "specversion": "1.0",
    "id": "4711-18e2f1c7a00",
    "source": "urn:titan-aas:3f0c9a1be2d477883f0c9a1be2d47788",
    "type": f"{PREFIX}shell.created",
    "subject": "https://example.com/shells/pump-7",
    "time": "2026-03-11T08:15:30.250Z",
    "cursor": "P0yaG-LUd4iAwAEBAYDAAQQAwo0S",
    "revision": "4711",
    "datacontenttype": "application/json",
    "data": {
        "modelType": "AssetAdministrationShell",
        "id": "https://example.com/shells/pump-7",
        "assetInformation": {"assetKind": "Instance", "globalAssetId": "https://example.com/assets/pump-7"},
    },
}

EXAMPLES: tuple[dict[str, Any], ...] = (
    _SHELL,
    # Larger than what is carried, or changed again since: no data. Read the document.
    {
        **{name: value for name, value in _SHELL.items() if name not in {"data", "datacontenttype"}},
        "id": "4712-18e2f1c7b3e",
        "type": f"{PREFIX}submodel.updated",
        "subject": "https://example.com/submodels/pump-7/operation",
        "revision": "4712",
    },
    {
        **{name: value for name, value in _SHELL.items() if name not in {"data", "datacontenttype"}},
        "id": "4713-18e2f1c9004",
        "type": f"{PREFIX}concept-description.deleted",
        "subject": "0173-1#02-AAB713#005",
        "revision": "4713",
    },
    {
        **_SHELL,
        "id": "4714-18e2f1c9f10",
        "type": f"{PREFIX}{ELEMENT}.updated",
        "subject": "https://example.com/submodels/pump-7/operation",
        "revision": "4714",
        "idshortpath": "Bearings[2].Temperature",
        "data": {"modelType": "Property", "idShort": "Temperature", "valueType": "xs:double", "value": "61.5"},
    },
)


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description, **more}


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "An event of Titan-AAS",
    "description": "A CloudEvent 1.0 in its JSON format: one for each change of a document or an element.",
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject", "time", "cursor", "revision"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": _text("Unique for the change, the same from every instance: a repeated event has it again."),
        "source": _text("The installation: the same from every instance of it.", pattern="^urn:titan-aas:"),
        "type": {"enum": list(TYPES), "description": "What was changed and how."},
        "subject": _text("The id of the shell, submodel or concept description, plain.", maxLength=2048),
        "time": _text("When it was changed, for people: order is by revision.", format="date-time"),
        "cursor": _text("Give it as `cursor` or `Last-Event-ID` to go on behind this event.", maxLength=200),
        "revision": _text("The document's revision after the change, as in its ETag; grows.", pattern="^[0-9]+$"),
        "idshortpath": _text("Of an element's event: where in the submodel it is."),
        "datacontenttype": {"const": "application/json"},
        "data": {
            "type": "object",
            "description": "The new content; absent where it was deleted, has changed again since, or is large.",
        },
    },
    "dependentRequired": {"data": ["datacontenttype"], "datacontenttype": ["data"]},
    "if": {"properties": {"type": {"pattern": f"^{PREFIX.replace('.', '[.]')}{ELEMENT}[.]"}}},
    "then": {"required": ["idshortpath"]},
    "else": {"not": {"required": ["idshortpath"]}},
    "examples": list(EXAMPLES),
}
"""Receivers pass over attributes that they do not know: more may come (CloudEvents extensions)."""
