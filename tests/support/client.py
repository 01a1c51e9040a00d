"""Calls the API as the transport does, without a transport."""

import json
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import trio

from titan.api.dispatch import answer
from titan.api.messages import Request, Response
from titan.api.operations import OPERATIONS
from titan.api.routing import Router
from titan.api.services import Services
from titan.model.identifiers import encode_identifier

ROUTER = Router(OPERATIONS)


@dataclass(frozen=True)
class Answer:
    """What came back; `operation_id` is None where no row was found."""

    operation_id: str | None
    response: Response
    headers: dict[str, str]

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def body(self) -> bytes:
        assert isinstance(self.response.body, bytes)
        return self.response.body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.json["messages"]]


@dataclass(frozen=True)
class Client:
    services: Services
    base: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def __call__(self, method: str, url: str, body: Any = None, /, **headers: str) -> Answer:
        """`body`: bytes as they are, anything else as JSON. Header names with _ for -."""
        parts = urlsplit(url)
        segments = [unquote(segment) for segment in parts.path.strip("/").split("/")]
        found = ROUTER.find(method, segments, request_id="r-1")
        if isinstance(found, Response):
            return _answer(None, found)
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = {"content-type": "application/json"} if raw else {}
        fields |= self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        operation = found.operation
        stream = Pieces(raw) if operation.streams else None
        body = b"" if operation.streams else raw
        request = Request(found.path, query, fields, body, self.base, request_id="r-1", stream=stream)
        return _answer(operation.operation_id, await _whole(await answer(self.services, operation, request)))


async def _whole(response: Response) -> Response:
    if isinstance(response.body, bytes):
        return response
    async with aclosing(response.body) as body:
        return replace(response, body=b"".join([piece async for piece in body]))


class Pieces:
    """A body in pieces of a size, as the transport gives it; `read` says how much was taken."""

    def __init__(self, body: bytes, size: int = 1000) -> None:
        self._body = body
        self._size = size
        self.read = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        piece = self._body[self.read : self.read + self._size]
        self.read += len(piece)
        if not piece:
            raise StopAsyncIteration
        return piece


def _answer(operation_id: str | None, response: Response) -> Answer:
    return Answer(operation_id, response, {name.lower(): value for name, value in response.headers})


def url(path: str, identifier: str) -> str:
    return f"{path}/{encode_identifier(identifier)}"
