"""Answers against the official OpenAPI files of IDTA-01002 3.1.2."""

from functools import cache
from typing import Any

import jsonschema

from tests.support.client import Answer
from tests.support.shared import shared_json

ENTIRE = "spec/Entire-API-Collection_V3.1.2.json"


def check(answer: Answer, method: str, path: str) -> None:
    """Assert that a status is one that the operation declares (or its default) and that the body fits the schema."""
    responses = shared_json(ENTIRE)["paths"][path][method.lower()]["responses"]
    declared = _resolve(responses.get(str(answer.status)) or responses["default"])
    assert answer.status >= 400 or str(answer.status) in responses, (method, path, answer.status)
    for name in declared.get("headers", {}):
        assert name.lower() in answer.headers, (method, path, answer.status, name)
    content = declared.get("content")
    if content is None:
        assert answer.body == b""
        return
    assert answer.response.media_type in content
    if answer.response.media_type == "application/octet-stream":
        return
    faults = [fault.message for fault in _validator(_name(content)).iter_errors(answer.json)]
    assert faults == [], (method, path, answer.status)


def check_schema(name: str, value: Any) -> list[str]:
    """Return what a value breaks of an official schema."""
    return [fault.message for fault in _validator(name).iter_errors(value)]


def members(name: str) -> tuple[set[str], set[str]]:
    """Return the members of an official class, and those that must be there, with all that it inherits."""
    return _members(shared_json(ENTIRE)["components"]["schemas"][name])


def _members(schema: dict[str, Any]) -> tuple[set[str], set[str]]:
    schema = _resolve(schema)
    names, required = set(schema.get("properties", {})), set(schema.get("required", ()))
    for part in schema.get("allOf", ()):
        more, also = _members(part)
        names |= more
        required |= also
    return names, required


def _resolve(value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        target: Any = shared_json(ENTIRE)
        for step in value["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        value = target
    return value


def _name(content: dict[str, Any]) -> str:
    reference: str = content["application/json"]["schema"]["$ref"]
    return reference.rpartition("/")[2]


@cache
def _validator(name: str) -> jsonschema.Draft7Validator:
    # OpenAPI 3.0 schemas are JSON Schema as far as these files go (no `nullable`).
    schema = {"$ref": f"#/components/schemas/{name}", "components": shared_json(ENTIRE)["components"]}
    return jsonschema.Draft7Validator(schema)
