"""One request and its answer, between hypercorn's messages and the operation table.

Quart's own handling is used for pages only (`Site.pages`): its request and context objects cost a hot read about as
much as everything that is done here.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import trio

from titan.api.messages import Request, Response
from titan.http import compression, headers
from titan.http.body import BodyFault, Receive, declared_bytes, read_body
from titan.http.errors import refusal
from titan.http.observe import RequestRecord
from titan.http.routing import BadPath, Found, Unknown, WrongMethod, origin_form
from titan.http.site import Site

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Page = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]

CLIENT_GONE = 499


class Exchange:
    """Answers one request, whatever it is, and tells the observer."""

    def __init__(self, site: Site, page: Page, scope: Mapping[str, Any]) -> None:
        self._site = site
        self._page = page
        self._scope = scope
        self._started = time.perf_counter()
        self._headers = headers.as_mapping(scope["headers"])
        self._request_id = headers.request_id(self._headers)
        self._headers["x-request-id"] = self._request_id
        self._operation = "unknown"
        self._received = 0
        self._sent = 0
        self._status = CLIENT_GONE
        self._body_unread = True
        self._head_sent = False

    async def __call__(self, receive: Receive, send: Send) -> None:
        """Serve it: errors that no one expected become a 500 and are reported whole."""
        observer = self._site.observer
        observer.request_started()
        try:
            response = await self._answer(receive)
            if response is not None:
                await self._send(response, receive, send)
        except Exception as error:  # noqa: BLE001  the border between one request and the rest of the server
            if not self._head_sent:
                text = "The server failed to answer. The log has the reason under this correlationId."
                await self._send(refusal(500, text, self._request_id), receive, send)
            observer.request_failed(self._record(), error)
        finally:
            observer.request_finished(self._record())

    # Before the answer.

    async def _answer(self, receive: Receive) -> Response | None:
        match = self._site.router.match(self._scope["method"], self._scope["raw_path"])
        if isinstance(match, Found):
            self._operation = match.operation.operation_id
        body = await self._read(receive)
        if isinstance(body, BodyFault):
            return self._body_refusal(body)
        match match:
            case Found():
                return await self._run(match, body)
            case Unknown():
                return await self._unknown(receive)
            case WrongMethod(allowed):
                return self._wrong_method(allowed)
            case BadPath(reason):
                return refusal(400, reason, self._request_id)

    async def _read(self, receive: Receive) -> bytes | BodyFault:
        declared = declared_bytes(self._headers)
        if "expect" in self._headers and (declared is None or declared <= self._site.limits.max_body_bytes):
            await self._scope["extensions"]["titan.continue"]()
        body = await read_body(receive, declared, self._site.limits)
        if isinstance(body, bytes):
            self._body_unread = False
            self._received = len(body)
        return body

    def _body_refusal(self, fault: BodyFault) -> Response | None:
        match fault:
            case BodyFault.TOO_LARGE:
                text = f"The body is larger than {self._site.limits.max_body_bytes} bytes."
                return refusal(413, text, self._request_id)
            case BodyFault.TOO_SLOW:
                return refusal(408, "The body did not arrive in time.", self._request_id)
            case BodyFault.GONE:
                return None

    async def _run(self, found: Found, body: bytes) -> Response:
        if body and self._headers.get("content-encoding", "identity").lower() != "identity":
            text = "The body is compressed; this server takes plain bodies only."
            return refusal(415, text, self._request_id, ("Accept-Encoding", "identity"))
        query = self._query()
        if query is None:
            return refusal(400, "The query holds a wrong percent-encoding.", self._request_id)
        for name in ("if-match", "if-none-match"):
            if name in self._headers:
                self._headers[name] = compression.plain_etags(self._headers[name])
        request = Request(found.path, query, self._headers, body, found.base)
        return await self._site.answer(found.operation, request)

    def _query(self) -> tuple[tuple[str, str], ...] | None:
        raw = self._scope["query_string"]
        if not raw:
            return ()
        try:
            return tuple(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000))
        except ValueError:
            return None

    def _wrong_method(self, allowed: tuple[str, ...]) -> Response:
        allow = ("Allow", ", ".join(allowed))
        if self._scope["method"] == "OPTIONS":
            return Response(204, headers=(allow,), media_type=None)
        text = f"{self._scope['method']} is not possible here."
        return refusal(405, text, self._request_id, allow)

    async def _unknown(self, receive: Receive) -> Response | None:
        path = origin_form(self._scope["raw_path"]).decode("ascii")
        if path not in self._site.pages:
            return refusal(404, "There is nothing at this path.", self._request_id)
        self._operation = path.strip("/").replace("/", "_").replace(".", "_")
        return await self._quart(receive)

    async def _quart(self, receive: Receive) -> Response:
        messages: list[Mapping[str, Any]] = []
        rest = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def replay() -> Mapping[str, Any]:
            return next(rest, None) or await receive()

        async def keep(message: Mapping[str, Any]) -> None:
            messages.append(message)

        await self._page(self._scope, replay, keep)
        start, *bodies = messages
        found = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        media_type = found.pop("content-type", None)
        found.pop("content-length", None)
        body = b"".join(message["body"] for message in bodies)
        return Response(start["status"], body, tuple(found.items()), media_type)

    # The answer.

    async def _send(self, response: Response, receive: Receive, send: Send) -> None:
        self._status = response.status
        raw = self._standard_headers()
        body = response.body
        if isinstance(body, bytes):
            body = await self._encode(response, body, raw)
        else:
            raw += _encoded(response)
        start = {"type": "http.response.start", "status": response.status, "headers": raw}
        if self._body_unread:
            raw.append((b"connection", b"close"))
            await self._send_and_drop(start, body, receive, send)
        else:
            await self._send_messages(start, body, send)

    def _standard_headers(self) -> headers.RawHeaders:
        raw = [*headers.SECURITY, (b"x-request-id", self._request_id.encode())]
        if self._scope["scheme"] == "https":
            raw.append(headers.TRANSPORT_SECURITY)
        return raw

    async def _encode(self, response: Response, body: bytes, raw: headers.RawHeaders) -> bytes:
        encoded = _encoded(response)
        if compression.is_compressible(response):
            raw.append((b"vary", b"accept-encoding"))
            if compression.accepts_gzip(self._headers.get("accept-encoding")):
                body = await compression.compress(body)
                encoded = [
                    (
                        name,
                        compression.coded_etag(value.decode("latin-1")).encode("latin-1") if name == b"etag" else value,
                    )
                    for name, value in encoded
                ]
                raw.append((b"content-encoding", b"gzip"))
        raw += encoded
        if response.status not in (204, 304):
            raw.append((b"content-length", str(len(body)).encode()))
        return body

    async def _send_and_drop(
        self, start: Mapping[str, Any], body: bytes | AsyncIterator[bytes], receive: Receive, send: Send
    ) -> None:
        # hypercorn's queue of what the client still sends must move, or its end of this answer waits behind it.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drop, receive)
            await self._send_messages(start, body, send)
            nursery.cancel_scope.cancel()

    async def _send_messages(self, start: Mapping[str, Any], body: bytes | AsyncIterator[bytes], send: Send) -> None:
        self._head_sent = True
        await send(start)
        if isinstance(body, bytes):
            self._sent = 0 if self._scope["method"] == "HEAD" else len(body)
            await send({"type": "http.response.body", "body": body, "more_body": False})
            return
        async for piece in body:
            self._sent += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _record(self) -> RequestRecord:
        peer = self._scope["client"]
        return RequestRecord(
            method=self._scope["method"],
            operation=self._operation,
            path=self._scope["raw_path"].decode("ascii"),
            status=self._status,
            duration_s=time.perf_counter() - self._started,
            received_bytes=self._received,
            sent_bytes=self._sent,
            request_id=self._request_id,
            client=headers.client_address(peer[0] if peer else "", self._headers, self._site.trusted_proxies),
            traceparent=headers.traceparent(self._headers),
        )


async def _drop(receive: Receive) -> None:
    while (await receive())["type"] == "http.request":
        pass


def _encoded(response: Response) -> headers.RawHeaders:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if response.media_type is not None:
        raw.append((b"content-type", response.media_type.encode("latin-1")))
    return raw
