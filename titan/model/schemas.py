"""JSON schemas of the metamodel, read off aas-core's classes: what this server takes is what it says that it takes.

Structure only (members, types, what must be there) and the length of identifiers: what decides in every mode. The
constraints of the metamodel are more than a schema can say.
"""

import inspect
import re
import types
from collections.abc import Iterator
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from aas_core3_1 import types as aas

from titan.store.contract import MAX_ID_CHARACTERS

Schema = dict[str, Any]

_TAGGED = (aas.Referable, aas.DataSpecificationContent)
"""Classes whose objects say by `modelType` what they are."""

_PLAIN: dict[type, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    bytes: {"type": "string", "format": "byte"},
}
_NARROWED: dict[str, Schema] = {"id": {"minLength": 1, "maxLength": MAX_ID_CHARACTERS}}


def schemas_of(*roots: str) -> dict[str, Schema]:
    """Return the schemas of the named classes and of all that they refer to, by name."""
    found: dict[str, Schema] = {}
    todo = [_CLASSES[name] for name in roots]
    while todo:
        cls = todo.pop()
        if name_of(cls) not in found:
            found[name_of(cls)] = _schema(cls)
            todo.extend(_mentioned(cls))
    return dict(sorted(found.items()))


def name_of(cls: type) -> str:
    """Return a class' name as the standard's JSON schema spells it: `SpecificAssetId`, `DataSpecificationIec61360`."""
    return re.sub("ID$", "Id", cls.__name__).replace("IEC", "Iec")


def reference_to(name: str) -> Schema:
    """Return the reference to a schema among the components of an OpenAPI document."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_name(attribute: str) -> str:
    """Return the JSON name of a class' attribute."""
    head, *tail = attribute.split("_")
    return head + "".join(word.title() for word in tail)


def _schema(cls: type) -> Schema:
    if issubclass(cls, Enum):
        return {"type": "string", "enum": [literal.value for literal in cls]}
    if inspect.isabstract(cls):
        return _choice(cls)
    properties: Schema = {}
    required = []
    if issubclass(cls, _TAGGED):
        properties["modelType"] = {"type": "string", "enum": [name_of(cls)]}
        required.append("modelType")
    for attribute, hint in _attributes(cls):
        is_optional = type(None) in get_args(hint)
        name = json_name(attribute)
        properties[name] = _type(hint) | _NARROWED.get(name, {})
        if not is_optional:
            required.append(name)
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | {"required": sorted(required)} if required else schema


def _choice(cls: type) -> Schema:
    names = [name_of(concrete) for concrete in _concrete(cls)]
    mapping = {name: f"#/components/schemas/{name}" for name in names}
    discriminator = {"propertyName": "modelType", "mapping": mapping}
    return {"oneOf": [reference_to(name) for name in names], "discriminator": discriminator}


def _type(hint: Any) -> Schema:
    inner = _inner(hint)
    if get_origin(inner) is list:
        return {"type": "array", "items": _type(get_args(inner)[0]), "minItems": 1}
    return dict(_PLAIN[inner]) if inner in _PLAIN else reference_to(name_of(inner))


def _inner(hint: Any) -> Any:
    """Strip Optional."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint


def _attributes(cls: type) -> Iterator[tuple[str, Any]]:
    for attribute, hint in get_type_hints(cls.__init__).items():  # type: ignore[misc]  # no subclass is asked
        if attribute != "return":
            yield attribute, hint


def _mentioned(cls: type) -> Iterator[type]:
    if issubclass(cls, Enum):
        return
    if inspect.isabstract(cls):
        yield from _concrete(cls)
        return
    for _, hint in _attributes(cls):
        inner = _inner(hint)
        inner = get_args(inner)[0] if get_origin(inner) is list else inner
        if inner not in _PLAIN:
            yield inner


def _concrete(cls: type) -> list[type]:
    return [other for other in _CLASSES.values() if issubclass(other, cls) and not inspect.isabstract(other)]


_CLASSES = {
    name_of(cls): cls
    for cls in vars(aas).values()
    if inspect.isclass(cls) and cls.__module__ == aas.__name__ and issubclass(cls, aas.Class | Enum)
}
