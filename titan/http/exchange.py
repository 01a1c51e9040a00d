"""One request and its answer, between hypercorn's messages and the operation table.

Quart's own handling is used for pages only (`Site.pages`): its request and context objects cost a hot read about as
much as everything that is done here.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, closing
from functools import cached_property
from typing import Any

import trio

from titan.api.messages import AnswerCut, Conversation, Request, Response
from titan.api.results import problem, unavailable
from titan.api.routing import Match
from titan.http import headers, rate
from titan.http.body import Body, BodyFailed, BodyFault, BodyStream, Receive
from titan.http.connection import LINK, Link
from titan.http.observe import RequestRecord
from titan.http.paths import query_fields
from titan.http.reply import Reply, make_reply
from titan.http.site import Feed, Site
from titan.http.target import UNKNOWN, find

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Page = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]
"""Quart's handling of one request."""

CLIENT_GONE = 499
"""Status in the log of a request whose client went away before it was read; nginx' number for it."""


class Exchange:
    """Answers one request, whatever it is, and tells the observer.

    A client that goes away does not cancel the operation that it asked for: a write's outcome would be left open for
    nothing, and each operation has its own budget of time.
    """

    def __init__(self, site: Site, page: Page, scope: Mapping[str, Any]) -> None:
        self._site = site
        self._page = page
        self._scope = scope
        self._link: Link = scope["extensions"][LINK]
        self._started = time.perf_counter()
        self._read_at = self._started
        self._headers = headers.as_mapping(scope["headers"])
        self._request_id = headers.request_id(self._headers)
        self._operation = UNKNOWN
        self._body = Body(self._headers, site.limits, site.bodies)
        self._sent = 0
        self._status = CLIENT_GONE
        self._has_begun = False
        self._cut: str | None = None
        self._because: str | None = None
        self._verdict: rate.Verdict | None = None
        self._is_limited = False

    async def __call__(self, receive: Receive, send: Send) -> None:
        """Serve it: an error that no one expected becomes a 500 and is reported whole."""
        observer = self._site.observer
        observer.request_started()
        try:
            response = await self._answer(receive)
            if response is not None:
                await self._send(response, receive, send)
        except AnswerCut as cut:
            self._cut = str(cut)
            if not self._has_begun:
                await self._send(unavailable(self._cut, request_id=self._request_id), receive, send)
        except Exception as error:  # noqa: BLE001  the border between one request and the rest of the server
            observer.request_failed(self._record(), error)
            if not self._has_begun:
                text = "the server failed; its log says why under this correlationId"
                await self._send(problem(500, text, request_id=self._request_id), receive, send)
        finally:
            self._body.release()
            observer.request_finished(self._record())

    # The request.

    async def _answer(self, receive: Receive) -> Response | None:
        target = find(self._site, self._scope["method"], self._scope["raw_path"], self._request_id)
        found, self._operation = target.found, target.operation
        self._is_limited = self._site.rate_limit is not None and not target.is_never_limited
        if self._is_limited and not await self._is_within_rate():
            return await self._refuse_rate(receive)
        if isinstance(found, tuple) and found[0].operation.streams:
            return await self._run_streamed(*found, receive)
        body = await self._read(receive)
        if isinstance(body, BodyFault):
            return self._body_refusal(body)
        match found:
            case Response():
                return found
            case str():
                return await self._quart(receive)
            case match, base:
                return await self._run(match, base, body)
            case _:
                return await self._follow(found)

    async def _is_within_rate(self) -> bool:
        """Ask before anything is read or done for this client."""
        assert self._site.rate_limit is not None
        self._verdict = await self._site.rate_limit.ask(self._client)
        return self._verdict is None or self._verdict.is_granted

    async def _refuse_rate(self, receive: Receive) -> Response | None:
        assert self._verdict is not None
        if self._body.is_empty:  # its end is here: the connection can stay open
            body = await self._read(receive)
            if isinstance(body, BodyFault):
                return self._body_refusal(body)
        return rate.refusal(self._verdict, self._request_id)

    async def _read(self, receive: Receive) -> bytes | BodyFault:
        if not self._body.is_too_large:
            await self._let_it_come()
        body = await self._body.read(receive)
        self._read_at = time.perf_counter()
        return body

    async def _let_it_come(self) -> None:
        if "expect" in self._headers:
            await self._link.continue_if_awaited()

    def _body_refusal(self, fault: BodyFault) -> Response | None:
        match fault:
            case BodyFault.TOO_LARGE:
                text = f"the body is larger than the {self._body.max_bytes} bytes that this server takes"
                return problem(413, text, request_id=self._request_id)
            case BodyFault.TOO_SLOW:
                return problem(408, "the body did not arrive in time", request_id=self._request_id)
            case BodyFault.NO_ROOM:
                text = "too many large bodies are being read at the same time"
                return unavailable(text, request_id=self._request_id)
            case BodyFault.GONE:
                self._status = self._link.refused_status or CLIENT_GONE
                return None

    async def _run_streamed(self, match: Match, base: str, receive: Receive) -> Response | None:
        """Run what reads its body itself: whether it begins to, and how much it reads, is its own choice."""
        self._body.max_bytes = self._site.limits.max_upload_bytes
        if self._body.is_too_large:
            return self._body_refusal(BodyFault.TOO_LARGE)
        try:
            return await self._run(match, base, b"", BodyStream(self._body, receive, self._let_it_come))
        except BodyFailed as failed:
            return self._body_refusal(failed.fault)

    async def _run(self, match: Match, base: str, body: bytes, stream: BodyStream | None = None) -> Response:
        if (body or stream) and self._headers.get("content-encoding", "identity").lower() != "identity":
            text = "the body is compressed; this server takes plain bodies only"
            identity = (("Accept-Encoding", "identity"),)
            return problem(415, text, request_id=self._request_id, headers=identity)
        query = query_fields(self._scope["query_string"])
        if query is None:
            return self._query_refusal()
        request = Request(match.path, query, self._headers, body, base, request_id=self._request_id, stream=stream)
        return await self._site.answer(match.operation, request)

    async def _follow(self, feed: Feed) -> Response:
        query = query_fields(self._scope["query_string"])
        if query is None:
            return self._query_refusal()
        request_headers = self._headers
        if (self._scope["method"], self._scope["http_version"]) != ("GET", "1.1"):
            request_headers = {
                name: value for name, value in request_headers.items() if name != "upgrade"
            }  # RFC 9110, 7.8
        return await feed(Request({}, query, request_headers, request_id=self._request_id))

    def _query_refusal(self) -> Response:
        text = "the query is not percent-encoded UTF-8 with up to 1000 fields"
        return problem(400, text, request_id=self._request_id)

    async def _quart(self, receive: Receive) -> Response:
        messages: list[Mapping[str, Any]] = []
        read = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def replay() -> Mapping[str, Any]:
            return next(read, None) or await receive()

        async def keep(message: Mapping[str, Any]) -> None:
            messages.append(message)

        await self._page(self._scope, replay, keep)
        start, *bodies = messages
        found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
        media_type = found.pop("content-type", None)
        found.pop("content-length", None)
        return Response(start["status"], b"".join(part["body"] for part in bodies), tuple(found.items()), media_type)

    # The answer.

    async def _send(self, response: Response, receive: Receive, send: Send) -> None:
        if response.conversation is not None:
            with closing(response.conversation):
                await self._converse(response.conversation, await self._make_reply(response))
            return
        reply = await self._make_reply(response)
        if self._body.is_complete and not response.ends_with_client:
            await self._send_messages(reply, send)
            return
        if not self._body.is_complete:
            reply.headers.append((b"connection", b"close"))
        # hypercorn's queue of what the client still sends must move, or its end of this answer waits behind it.
        async with trio.open_nursery() as nursery:
            gone = nursery.cancel_scope.cancel if response.ends_with_client else None
            nursery.start_soon(_drop, receive, gone)
            await self._send_messages(reply, send)
            nursery.cancel_scope.cancel()

    async def _make_reply(self, response: Response) -> Reply:
        is_tls = self._scope["scheme"] == "https"
        reply = await make_reply(response, self._headers, self._request_id, is_tls=is_tls)
        self._status = reply.status
        self._because = response.because
        if self._verdict is not None:
            reply.headers.extend(rate.fields(self._verdict))
        if headers.asks_for_timing(self._headers):
            reply.headers.append((b"server-timing", self._timing().encode()))
        return reply

    async def _converse(self, conversation: Conversation, reply: Reply) -> None:
        """Hand the connection over, for as long as it is open."""
        self._has_begun = True
        wire = await self._link.switch(reply.headers)
        try:
            await conversation(wire)
        finally:
            self._sent = wire.sent_bytes
            await wire.close()

    async def _send_messages(self, reply: Reply, send: Send) -> None:
        start = {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
        if isinstance(reply.body, bytes):
            self._has_begun = True
            await send(start)
            self._sent = 0 if self._scope["method"] == "HEAD" else len(reply.body)
            await send({"type": "http.response.body", "body": reply.body, "more_body": False})
        else:
            async with aclosing(reply.body):
                await self._send_pieces(start, reply.body, send)

    async def _send_pieces(self, start: Mapping[str, Any], body: AsyncGenerator[bytes, None], send: Send) -> None:
        """Send an answer in pieces; with the first at hand, so that what fails at once gets an answer of its own."""
        piece = b"" if self._scope["method"] == "HEAD" else await anext(body, b"")
        self._has_begun = True
        await send(start)
        while piece:
            self._sent += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if self._link.is_broken:
                return
            piece = await anext(body, b"")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _timing(self) -> str:
        read, now = self._read_at - self._started, time.perf_counter()
        return f"read;dur={read * 1000:.2f}, handle;dur={(now - self._read_at) * 1000:.2f}"

    @cached_property
    def _client(self) -> str:
        peer = self._scope["client"]
        return headers.client_address(peer[0] if peer else "", self._headers, self._site.trusted_proxies)

    def _record(self) -> RequestRecord:
        return RequestRecord(
            method=self._scope["method"],
            operation=self._operation,
            path=self._scope["raw_path"].decode("ascii"),
            status=self._status,
            duration_s=time.perf_counter() - self._started,
            received_bytes=self._body.received_bytes,
            sent_bytes=self._sent,
            request_id=self._request_id,
            client=self._client,
            traceparent=headers.traceparent(self._headers),
            is_complete=not self._link.is_broken,
            cut_because=self._cut,
            because=None if self._cut else self._because,
        )


async def _drop(receive: Receive, gone: Callable[[], object] | None) -> None:
    while (await receive())["type"] == "http.request":
        pass
    if gone is not None:
        gone()
