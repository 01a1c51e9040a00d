"""The feed's paths as they stand in `/openapi.json` and `/docs`, from the same names that its requests are read by."""

from typing import Any

from titan.api.media import JSON
from titan.api.openapi import Addition
from titan.api.services import PageSizes
from titan.events.cloudevent import TYPES
from titan.events.endpoint import SSE
from titan.events.schema import EXAMPLES, SCHEMA
from titan.events.wish import MAX_CURSOR, MAX_VALUES, MAX_WAIT_S

_GONE = "What follows the cursor cannot be told any more: read the documents anew, then follow from now on"
_REPEATED = "; may be repeated: any of them"


def described(sizes: PageSizes) -> Addition:
    """Return what the API's description says of events, with the sizes of pages of the settings."""
    return Addition("Events", {"/events": _events(sizes), "/events/ws": _SOCKET}, {"Event": _event_schema()})


def _parameter(name: str, meaning: str, schema: dict[str, Any], *, place: str = "query") -> dict[str, Any]:
    return {"name": name, "in": place, "description": meaning, "schema": schema}


def _some(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema, "maxItems": MAX_VALUES}


_CURSOR = {"type": "string", "minLength": 1, "maxLength": MAX_CURSOR}
_WHICH = [
    _parameter(
        "cursor", "Go on behind this event; `oldest`: from the oldest that is kept; without: from now on", _CURSOR
    ),
    _parameter("type", f"Only events of this type{_REPEATED}", _some({"type": "string", "enum": list(TYPES)})),
    _parameter("id", f"Only of the document with this id, in base64url{_REPEATED}", _some({"type": "string"})),
    _parameter(
        "idShortPath",
        f"Only of this element, and of whole submodels: those may change it{_REPEATED}",
        _some({"type": "string"}),
    ),
    _parameter("Last-Event-ID", "As cursor, and wins: what browsers send when they come back", _CURSOR, place="header"),
]


def _refusals(*statuses: int) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses}


def _result(text: str) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": {"$ref": "#/components/schemas/Result"}}}}


def _events(sizes: PageSizes) -> dict[str, Any]:
    wait = {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_S}
    limit = {"type": "integer", "minimum": 1, "maximum": sizes.most, "default": sizes.default}
    page = {
        "type": "object",
        "required": ["paging_metadata", "result"],
        "properties": {
            "paging_metadata": {"type": "object", "required": ["cursor"], "properties": {"cursor": _CURSOR}},
            "result": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}},
        },
    }
    return {
        "get": {
            "operationId": "FollowEvents",
            "summary": "Every change as a CloudEvent: a stream of server-sent events, or with `wait` a page in JSON",
            "tags": ["Events"],
            "parameters": [
                *_WHICH,
                _parameter("wait", "Answer one page; where nothing is there, wait so many seconds for the first", wait),
                _parameter("limit", "Most events of a page; with `wait` only", limit),
            ],
            "responses": {
                "200": {
                    "description": "Events; each block of the stream has the cursor as `id` and one event as `data`",
                    "content": {SSE: {"schema": {"type": "string"}}, JSON: {"schema": page}},
                },
                "410": _result(_GONE),
                **_refusals(400, 406, 429, 503),
            },
        }
    }


_SOCKET = {
    "get": {
        "operationId": "OpenEventSocket",
        "summary": "The same as a WebSocket, one event in each message",
        "tags": ["Events"],
        "parameters": _WHICH,
        "responses": {
            "101": {
                "description": "Messages: events, and those of the types `io.titan-aas.stream.position` and `.end`"
            },
            "403": _result("A page of another site asks, which events.allowed_origins does not name"),
            "410": _result(_GONE),
            "426": _result("This is no request for a WebSocket, or for another version than 13"),
            **_refusals(400, 429, 503),
        },
    }
}


def _event_schema() -> dict[str, Any]:
    """Return the event's schema as far as OpenAPI 3.0 can say it; all of it is at `/events/schema.json`."""
    properties = {
        name: {"type": "string", "enum": [value["const"]]} if "const" in value else {"type": "string", **value}
        for name, value in SCHEMA["properties"].items()
    }
    return {
        "type": "object",
        "description": SCHEMA["description"],
        "required": SCHEMA["required"],
        "properties": properties,
        "example": EXAMPLES[0],
    }
