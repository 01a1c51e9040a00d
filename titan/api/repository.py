"""List, create, read, replace and delete: the same for shells, submodels and concept descriptions."""

import hashlib
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any, TypeVar, assert_never

import orjson
import trio

from titan.api import heavy
from titan.api.call import Call
from titan.api.conditions import etag
from titan.api.cursors import encode_cursor
from titan.api.messages import Response
from titan.api.results import problem
from titan.api.services import Services
from titan.model import modifiers
from titan.model.documents import Unacceptable, assemble, prepare
from titan.model.identifiers import encode_identifier
from titan.model.references import model_reference
from titan.store.contract import (
    AlreadyExists,
    Created,
    Deleted,
    Document,
    Idempotency,
    IdempotencyMismatch,
    IdempotencyRunning,
    Kind,
    NotFound,
    Page,
    Precondition,
    PreconditionFailed,
    Replaced,
    Replayed,
    WriteMode,
    WriteOutcome,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Content:
    """What a client sent, ready to be written, and as it will be read."""

    document: Document
    body: bytes


@dataclass(frozen=True, slots=True)
class Repository:
    """Handlers for the documents of one kind below one path."""

    kind: Kind
    path: str
    """Path of the collection, e.g. `/shells`."""
    parameter: str
    """Name of the path parameter with the identifier, e.g. `aasIdentifier`."""
    noun: str
    """What people call one of them."""

    async def get_all(self, services: Services, call: Call) -> Response:
        """Answer one page of the documents that match the filters."""
        query = call.query
        page = await self._page(services, call)
        bodies = [item.body for item in page.items]
        if query.core:
            size = sum(map(len, bodies))
            bodies = await heavy.run(services, size, lambda: [modifiers.core(body) for body in bodies])
        return _list(call, page, bodies)

    async def get_references(self, services: Services, call: Call) -> Response:
        """Answer one page of references to the documents that match the filters: their ids, and nothing of them."""
        page = await self._page(services, call)
        return _list(call, page, [orjson.dumps(model_reference(self.kind, item.id)) for item in page.items])

    async def _page(self, services: Services, call: Call) -> Page:
        query = call.query
        return await timed(
            services,
            services.store.page(
                self.kind,
                terms=query.terms,
                after=query.after,
                limit=query.limit,
                with_blobs=query.with_blobs,
                need=call.need,
            ),
        )

    async def get(self, services: Services, call: Call) -> Response:
        """Answer one document, 304 where the client has it already."""
        found = await timed(
            services,
            services.store.find(self.kind, call.path[self.parameter], with_blobs=call.query.with_blobs, need=call.need),
        )
        stored = found.stored
        if stored is None:
            return self.not_found(call, found.mark)
        headers = validators(stored.revision, stored.modified_ms)
        if call.conditions.failed(stored.revision, stored.modified_ms):
            return self.precondition_failed(call, stored.revision, found.mark)
        if call.conditions.not_modified(stored.revision):
            return Response(304, b"", headers, None, mark=found.mark)
        body = stored.body
        if call.query.core:
            body = await heavy.run(services, len(body), lambda: modifiers.core(stored.body))
        return Response(200, body, headers, mark=found.mark)

    async def post(self, services: Services, call: Call) -> Response:
        """Create a document; 409 where its id is taken."""
        content = await self._content(services, call)
        if isinstance(content, Response):
            return content
        return await self._write(services, call, content, WriteMode.CREATE)

    async def put(self, services: Services, call: Call) -> Response:
        """Replace a document, or create it where there is none."""
        content = await self._content(services, call)
        if isinstance(content, Response):
            return content
        if content.document.id != call.path[self.parameter]:
            text = f"id: the {self.noun} in the body has another id than the path"
            return problem(400, text, request_id=call.request.request_id)
        return await self._write(services, call, content, WriteMode.PUT)

    async def delete(self, services: Services, call: Call) -> Response:
        """Delete a document; 404 where there is none."""
        identifier = call.path[self.parameter]
        precondition = await self._precondition(services, call, identifier)
        if isinstance(precondition, Response):
            return precondition
        outcome = await timed(services, services.store.delete(self.kind, identifier, precondition=precondition))
        return self.answer(call, outcome, b"", "")

    async def _content(self, services: Services, call: Call) -> _Content | Response:
        raw = call.request.body

        def work() -> _Content | Unacceptable:
            prepared = prepare(self.kind, raw, lenient=services.lenient, max_depth=services.max_depth)
            if isinstance(prepared, Unacceptable):
                return prepared
            return _Content(prepared.document, assemble(prepared.document))

        content = await heavy.run(services, len(raw), work)
        if isinstance(content, Unacceptable):
            return problem(400, map(str, content.violations), request_id=call.request.request_id)
        return content

    async def _write(self, services: Services, call: Call, content: _Content, mode: WriteMode) -> Response:
        document = content.document
        precondition = await self._precondition(services, call, document.id)
        if isinstance(precondition, Response):
            return precondition
        idempotency = _idempotency(call, content.body)
        outcome = await timed(
            services,
            services.store.write(document, mode, precondition=precondition, idempotency=idempotency),
        )
        location = f"{call.request.base}{self.path}/{encode_identifier(document.id)}"
        return self.answer(call, outcome, content.body, location)

    async def _precondition(self, services: Services, call: Call, identifier: str) -> Precondition | Response | None:
        """Return what the store compares. A date is judged here, and the write bound to the state that was judged."""
        conditions = call.conditions
        if conditions.unmodified_since_s is not None:
            found = await timed(services, services.store.find(self.kind, identifier))
            stored = found.stored
            if stored is not None and conditions.failed(stored.revision, stored.modified_ms):
                return self.precondition_failed(call, stored.revision, found.mark)
            conditions = conditions.bound_to(None if stored is None else stored.revision)
        return conditions.for_write()

    def answer(self, call: Call, outcome: WriteOutcome, body: bytes, location: str) -> Response:
        """Answer what became of a write; `body` and `location` are for one that created."""
        return replace(self._answer(call, outcome, body, location), mark=outcome.mark)

    def _answer(self, call: Call, outcome: WriteOutcome, body: bytes, location: str) -> Response:
        request_id = call.request.request_id
        match outcome:
            case Replayed(first):
                return self._answer(call, first, body, location)
            case Created(revision, modified_ms):
                return Response(201, body, (("Location", location), *validators(revision, modified_ms)))
            case Replaced(revision, modified_ms):
                return Response(204, b"", validators(revision, modified_ms), None)
            case Deleted():
                return Response(204, b"", (), None)
            case AlreadyExists():
                return problem(409, f"a {self.noun} with this id exists already", request_id=request_id)
            case NotFound():
                return self.not_found(call)
            case PreconditionFailed(revision):
                return self.precondition_failed(call, revision)
            case IdempotencyMismatch():
                text = "this Idempotency-Key was used for another request"
                return problem(422, text, request_id=request_id)
            case IdempotencyRunning():
                text = "the first request with this Idempotency-Key has not ended yet"
                return problem(409, text, request_id=request_id)
            case _:
                assert_never(outcome)

    def not_found(self, call: Call, mark: int = 0) -> Response:
        """Answer that there is no such document."""
        text = f"there is no {self.noun} with this id"
        return replace(problem(404, text, request_id=call.request.request_id), mark=mark)

    def precondition_failed(self, call: Call, revision: int | None, mark: int = 0) -> Response:
        """Answer that the document is in another state; `revision` is the current one."""
        state = f"there is no such {self.noun}" if revision is None else f"its entity tag is now {etag(revision)}"
        text = f"the precondition does not hold: {state}"
        headers = () if revision is None else (("ETag", etag(revision)),)
        return replace(problem(412, text, request_id=call.request.request_id, headers=headers), mark=mark)


def _list(call: Call, page: Page, items: Iterable[bytes]) -> Response:
    paging = {}
    if page.next_after is not None:
        paging["cursor"] = encode_cursor(page.next_after, call.operation_id, call.query.terms)
    body = b'{"paging_metadata":%b,"result":[%b]}' % (orjson.dumps(paging), b",".join(items))
    return Response(200, body, mark=page.mark)


async def timed(services: Services, store_call: Coroutine[Any, Any, T]) -> T:
    """Give one store call its budget; `trio.TooSlowError` beyond it."""
    with trio.fail_after(services.budget_s):
        return await store_call


def validators(revision: int, modified_ms: int) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell a document's state."""
    return (("ETag", etag(revision)), ("Last-Modified", formatdate(modified_ms // 1000, usegmt=True)))


def _idempotency(call: Call, body: bytes) -> Idempotency | None:
    if call.idempotency_key is None:
        return None
    scope = _digest(call.request.caller, call.operation_id, call.idempotency_key)
    return Idempotency(scope, hashlib.blake2b(body, digest_size=32).digest())


def _digest(*parts: str) -> bytes:
    digest = hashlib.blake2b(digest_size=32)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.digest()
