"""The server's own OpenAPI document (3.0.3), made from the operation table and the metamodel's classes.

It says what is served, not what the standard knows: rows without a handler are left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from titan.api.files import BINARY, IMAGE_TYPES
from titan.api.messages import Response
from titan.api.operation import Operation
from titan.api.parameters import MAX_ENCODED_REFERENCE, MAX_ID_SHORT
from titan.api.services import PageSizes
from titan.model.schemas import Schema, reference_to, schemas_of
from titan.version import __version__

_BASE64URL = "base64url without padding (RFC 4648, section 5)"
_ENCODED_REFERENCE = {"type": "string", "minLength": 1, "maxLength": MAX_ENCODED_REFERENCE}

QUERY: dict[str, tuple[str, Schema]] = {
    "limit": (
        "Most results on one page",
        {"type": "integer", "minimum": 1},
    ),
    "cursor": ("Where to go on: `paging_metadata.cursor` of the page before", {"type": "string", "minLength": 1}),
    "level": (
        "`core` leaves out what the elements contain",
        {"type": "string", "enum": ["deep", "core"], "default": "deep"},
    ),
    "extent": (
        "Whether the values of Blob elements are included",
        {"type": "string", "enum": ["withBlobValue", "withoutBlobValue"], "default": "withoutBlobValue"},
    ),
    "idShort": ("Only those with this idShort", {"type": "string", "minLength": 1, "maxLength": MAX_ID_SHORT}),
    "semanticId": (
        f"Only those with this semanticId or supplementalSemanticId: a Reference as JSON in {_BASE64URL}",
        _ENCODED_REFERENCE,
    ),
    "isCaseOf": (f"Only those with this isCaseOf: a Reference as JSON in {_BASE64URL}", _ENCODED_REFERENCE),
    "dataSpecificationRef": (
        f"Only those with this data specification: a Reference as JSON in {_BASE64URL}",
        _ENCODED_REFERENCE,
    ),
    "assetIds": (
        f"Only those with all these asset ids, each as JSON in {_BASE64URL}; the global one is named globalAssetId",
        {"type": "array", "items": {"type": "string", "minLength": 1}},
    ),
}
"""Every query parameter: what it means and what it may be, but for the sizes of pages, which are settings."""

_RESULT = reference_to("Result")
_BINARY: Schema = {"type": "string", "format": "binary"}
FILE_TYPES = (BINARY, *IMAGE_TYPES)
"""As what a file is answered."""
_JSON = "application/json"
REASONS = {
    400: "Something in the request is wrong; the messages name each fault and its place",
    404: "There is none with this identifier",
    406: "The client accepts no JSON",
    409: "One with this id exists already, or the first request with this Idempotency-Key has not ended",
    412: "A precondition does not hold",
    413: "The file is larger than this server takes",
    415: "The body has another media type than this operation takes, or is compressed",
    422: "The Idempotency-Key was used for another request",
    429: "This client's address sent more requests than it may, where the server has a limit",
    503: "The server cannot answer now; for a write the message says whether it may have been carried out",
    507: "There is no room left to store this",
}
SUCCESSES = {200: "The answer", 201: "It was created", 204: "Done; there is nothing to say", 304: "Not modified"}


@dataclass(frozen=True, slots=True)
class Addition:
    """What is served beside the operations of the standard, in OpenAPI's own words."""

    title: str
    """Tag of all its operations."""
    paths: Mapping[str, Any]
    schemas: Mapping[str, Schema]


def openapi_page(
    operations: Iterable[Operation], base: str = "", sizes: PageSizes | None = None, *, more: Sequence[Addition] = ()
) -> Response:
    """Answer with the document; `base` is where the API is mounted."""
    return Response(200, orjson.dumps(document(operations, base, sizes, more=more)))


def document(
    operations: Iterable[Operation], base: str = "", sizes: PageSizes | None = None, *, more: Sequence[Addition] = ()
) -> dict[str, Any]:
    """Return the document of the rows that have a handler, and what there is more."""
    built = [operation for operation in operations if operation.handler is not None]
    paths: dict[str, dict[str, Any]] = {}
    for operation in built:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, sizes or PageSizes())
    schemas = _schemas(built)
    for addition in more:
        paths |= addition.paths
        schemas |= addition.schemas
    tags = [*(operation.service for operation in built), *(addition.title for addition in more)]
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Titan-AAS",
            "version": __version__,
            "description": "Asset Administration Shell API (IDTA-01002, version 3.1.2), as far as this server has it",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "servers": [{"url": base or "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(tags)],
        "paths": paths,
        "components": {"schemas": schemas, "responses": _refusals()},
    }


def statuses(operation: Operation) -> list[int]:
    """Return the statuses of refusal that this operation can have, besides those of any HTTP server."""
    writes = operation.method != "GET"
    found = {400, 429, 503}
    if operation.result is not None:
        found.add(406)
    if operation.request_media:
        found.add(415)
    if operation.streams:
        found |= {404, 413}
    if operation.idempotent_by_key:
        found |= {409, 422}
    if "{" in operation.path:
        found |= {404, 412} if operation.method != "PUT" else {412}
    if writes:
        found |= {412, 507}
    return sorted(found)


def _operation(operation: Operation, sizes: PageSizes) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "tags": [operation.service],
        "parameters": [
            *_path_parameters(operation),
            *_query_parameters(operation, sizes),
            *_header_parameters(operation),
        ],
        "responses": _responses(operation),
    }
    if operation.request is not None:
        content = {media: {"schema": reference_to(operation.request)} for media in operation.request_media}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _path_parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    for segment in operation.path.split("/"):
        if segment.startswith("{"):
            yield {
                "name": segment.strip("{}"),
                "in": "path",
                "required": True,
                "description": f"The identifier in {_BASE64URL}",
                "schema": {"type": "string", "minLength": 1},
            }


def _query_parameters(operation: Operation, sizes: PageSizes) -> Iterable[dict[str, Any]]:
    for name in operation.query:
        meaning, schema = QUERY[name]
        if name == "limit":
            schema = schema | {"maximum": sizes.most, "default": sizes.default}
        yield {"name": name, "in": "query", "description": meaning, "schema": schema}


def _header_parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    fields = []
    if operation.idempotent_by_key:
        fields.append(("Idempotency-Key", "Makes a retry of this request safe for 24 hours"))
    if "{" in operation.path or operation.method != "GET":
        fields.append(("If-Match", "Only if the document has one of these entity tags"))
        fields.append(("If-None-Match", "Only if the document has none of these entity tags, or `*`: does not exist"))
    for name, meaning in fields:
        yield {"name": name, "in": "header", "description": meaning, "schema": {"type": "string"}}


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    successes = [*operation.success, *([304] if operation.cacheable else [])]
    for status in successes:
        response: dict[str, Any] = {"description": SUCCESSES[status]}
        if operation.result is not None and status in {200, 201}:
            response["content"] = {_JSON: {"schema": reference_to(operation.result)}}
        if operation.answers_file and status == 200:
            response["content"] = {media: {"schema": _BINARY} for media in FILE_TYPES}
        headers = _headers(operation, status)
        if headers:
            response["headers"] = headers
        responses[str(status)] = response
    for status in statuses(operation):
        responses[str(status)] = {"$ref": f"#/components/responses/{status}"}
    responses["default"] = {"$ref": "#/components/responses/default"}
    return responses


def _headers(operation: Operation, status: int) -> dict[str, Any]:
    names = ["Location"] if status == 201 else []
    if operation.cacheable or (status in {201, 204} and operation.method in {"POST", "PUT"}):
        names += ["ETag", "Last-Modified"]
    return {name: {"schema": {"type": "string"}} for name in names}


def _refusals() -> dict[str, Any]:
    reasons = {str(status): text for status, text in REASONS.items()} | {"default": "Any other refusal or failure"}
    content = {_JSON: {"schema": _RESULT}}
    refusals: dict[str, Any] = {status: {"description": text, "content": content} for status, text in reasons.items()}
    for status in ("429", "503", "507"):
        refusals[status]["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return refusals


def _schemas(built: Iterable[Operation]) -> dict[str, Schema]:
    bodies = [operation.request for operation in built if operation.request is not None]
    schemas = schemas_of(*dict.fromkeys(body for body in bodies if body not in _OWN))
    for operation in built:
        for name in filter(None, (operation.request, operation.result)):
            if name not in schemas:
                schemas[name] = _OWN[name] if name in _OWN else _page_of(name)
    return dict(sorted({**schemas, "Result": _RESULT_SCHEMA, "Message": _MESSAGE_SCHEMA}.items()))


def _page_of(result: str) -> Schema:
    """Return the schema of `Get<Item>sResult`."""
    item = result.removeprefix("Get").removesuffix("sResult")
    cursor = {"cursor": {"type": "string", "minLength": 1}}
    return {
        "type": "object",
        "required": ["paging_metadata", "result"],
        "properties": {
            "paging_metadata": {"type": "object", "properties": cursor},
            "result": {"type": "array", "items": reference_to(item)},
        },
    }


_RESULT_SCHEMA: Schema = {
    "type": "object",
    "properties": {"messages": {"type": "array", "items": reference_to("Message")}},
}
_MESSAGE_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "minLength": 1, "maxLength": 32},
        "correlationId": {"type": "string", "minLength": 1, "maxLength": 128},
        "messageType": {"type": "string", "enum": ["Undefined", "Info", "Warning", "Error", "Exception"]},
        "text": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
    },
}
_OWN: dict[str, Schema] = {
    "FileForm": {
        "type": "object",
        "required": ["file"],
        "properties": {
            "fileName": {"type": "string", "description": "What the file is called; else the part's own file name"},
            "file": _BINARY,
        },
    },
    "ServiceDescription": {
        "type": "object",
        "required": ["profiles"],
        "properties": {"profiles": {"type": "array", "minItems": 1, "items": {"type": "string"}}},
    },
}
