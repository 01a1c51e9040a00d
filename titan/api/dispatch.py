"""From a request for a known operation to its answer: every part of it is read, in one order, before a handler runs."""

import re
from collections.abc import Mapping
from dataclasses import replace

import trio

from titan.api.call import Call
from titan.api.conditions import NO_CONDITIONS, Conditions, MalformedCondition, read_conditions
from titan.api.media import JSON, accepts, content_type_fault
from titan.api.messages import Request, Response
from titan.api.operation import Operation
from titan.api.parameters import read_query
from titan.api.results import problem, unavailable
from titan.api.services import PageSizes, Services
from titan.api.session import MalformedToken, Session, read_session
from titan.model.identifiers import InvalidIdentifier, decode_identifier
from titan.store.contract import NEWEST, Need, OutcomeUnknown, StoreFull, StoreUnavailable

IDENTIFIERS = frozenset({"aasIdentifier", "submodelIdentifier", "cdIdentifier"})
"""Path parameters that are base64url."""

UNKNOWN_OUTCOME = (
    "the outcome of this write is not known: it may have been carried out. "
    "Read the document, or send the request again with the Idempotency-Key it had"
)

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def answer(services: Services, operation: Operation, request: Request) -> Response:
    """Answer one request. Every error that is the client's or the store's becomes a `Result`; bugs propagate.

    Cancelled: a write whose caller is gone may still be committed.
    """
    session = read_session(request.headers)
    if isinstance(session, MalformedToken):
        return problem(400, session.reason, request_id=request.request_id)
    response = await _answer(services, operation, request, session)
    fields = session.headers(services.store.history, response.mark)
    return replace(response, headers=(*response.headers, *fields))


async def _answer(services: Services, operation: Operation, request: Request, session: Session) -> Response:
    call = read_call(operation, request, services.page_sizes, session.need(services.store.history))
    if isinstance(call, Response):
        return call
    assert operation.handler is not None  # read_call answered 501 otherwise
    try:
        return await operation.handler(services, call)
    except trio.TooSlowError:
        return _too_slow(operation, request)
    except StoreFull as full:
        text = f"there is no room left to store this: {full.reason}"
        return _unavailable(request, text, full.reason, full.retry_after_s, status=507)
    except OutcomeUnknown as unknown:
        text = f"{UNKNOWN_OUTCOME} ({unknown.reason})"
        return _unavailable(request, text, f"outcome unknown: {unknown.reason}", unknown.retry_after_s)
    except StoreUnavailable as away:
        text = f"the store cannot serve now: {away.reason}"
        return _unavailable(request, text, away.reason, away.retry_after_s)


def read_call(operation: Operation, request: Request, sizes: PageSizes, need: Need = NEWEST) -> Call | Response:
    """Read every part of a request, or answer what is wrong with it."""
    if operation.handler is None:
        text = f"{operation.operation_id} is not offered by this server"
        return problem(501, text, request_id=request.request_id)
    path = _path(request.path)
    if isinstance(path, str):
        return problem(400, path, request_id=request.request_id)
    query = read_query(request.query, operation.query, operation.operation_id, sizes)
    if isinstance(query, list):
        return problem(400, query, request_id=request.request_id)
    headers = request.headers
    refused = _refused_content(operation, request)
    if refused is not None:
        return refused
    conditions = _conditions(headers)
    if isinstance(conditions, MalformedCondition):
        return problem(400, conditions.reason, request_id=request.request_id)
    key = headers.get("idempotency-key") if operation.idempotent_by_key else None
    if key is not None and not _KEY.fullmatch(key):
        text = "Idempotency-Key must have 1 to 255 visible ASCII characters"
        return problem(400, text, request_id=request.request_id)
    return Call(operation.operation_id, request, path, query, conditions, key, need)


def _path(segments: Mapping[str, str]) -> Mapping[str, str] | str:
    if not segments:
        return segments
    path = {}
    for name, text in segments.items():
        value = decode_identifier(text) if name in IDENTIFIERS else text
        if isinstance(value, InvalidIdentifier):
            return f"path parameter {name!r} {value.reason}"
        path[name] = value
    return path


def _refused_content(operation: Operation, request: Request) -> Response | None:
    """Judge the media types of what comes and what would go."""
    headers = request.headers
    if operation.result is not None and not accepts(headers.get("accept"), JSON):
        return problem(406, f"this operation answers {JSON} only", request_id=request.request_id)
    if not operation.request_media:
        return None
    if not request.body and not operation.streams:
        return problem(400, "the body is missing", request_id=request.request_id)
    fault = content_type_fault(headers.get("content-type"), operation.request_media)
    return None if fault is None else problem(415, fault, request_id=request.request_id)


def _conditions(headers: Mapping[str, str]) -> Conditions | MalformedCondition:
    match, none_match, since = map(headers.get, ("if-match", "if-none-match", "if-unmodified-since"))
    if match is None and none_match is None and since is None:
        return NO_CONDITIONS
    return read_conditions(match, none_match, since)


def _too_slow(operation: Operation, request: Request) -> Response:
    late = "the store did not answer in time"
    return _unavailable(request, late if operation.method == "GET" else UNKNOWN_OUTCOME, late)


def _unavailable(
    request: Request, text: str, because: str, retry_after_s: float = 1.0, *, status: int = 503
) -> Response:
    request_id = request.request_id
    return unavailable(text, because=because, request_id=request_id, retry_after_s=retry_after_s, status=status)
