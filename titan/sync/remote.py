"""The other server as this one sees it: GET, each with an end in time and in size, and nothing else.

No redirects, no proxies, nothing from the environment, no cookies kept. An answer's body is at most as large as asked
for, after decompression too.
"""

import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpcore
import httpx
import trio

from titan.printable import printable
from titan.sync.addresses import Allowed
from titan.sync.network import GuardedNetwork, Refused, Resolve, resolve
from titan.sync.source import Limits, Source
from titan.version import __version__

MAX_TAG_CHARACTERS: Final = 512
"""Longest entity tag that is kept; a longer one counts as none."""

_GZIP: Final = 31  # window bits: gzip alone


class RemoteFailed(Exception):
    """The server could not be asked, or its answer not be taken; the text says why, in one line."""


class TooLarge(RemoteFailed):
    """The answer has more bytes than may come."""

    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes = b""
    etag: str | None = None


class Remote:
    """Connections to one source; used by several tasks at once as `async with Remote(...) as remote`."""

    def __init__(self, source: Source, allowed: Allowed, limits: Limits, resolve: Resolve = resolve) -> None:
        self._url = source.url
        self._limits = limits
        self.requests = 0
        self.received_bytes = 0
        """Of bodies, as they came over the wire."""
        self._client = httpx.AsyncClient(
            transport=_Transport(
                httpcore.AsyncConnectionPool(
                    ssl_context=_trust(source),
                    max_connections=limits.in_flight,
                    keepalive_expiry=limits.read_s,
                    network_backend=GuardedNetwork(allowed, resolve),
                )
            ),
            headers=[
                ("Accept", "application/json"),
                ("Accept-Encoding", "gzip"),
                ("User-Agent", f"titan-aas/{__version__}"),
                *source.headers,
            ],
            timeout=httpx.Timeout(limits.read_s, connect=limits.connect_s, pool=limits.total_s),
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with trio.move_on_after(self._limits.connect_s, shield=True):
            await self._client.aclose()

    async def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        known: str | None = None,
        is_newest: bool = False,
        max_bytes: int,
    ) -> Answer:
        """Ask for a path below the source's URL; `known` is the entity tag of what is here already.

        With `is_newest` no cache in between may answer (RFC 9111 5.2.1.4), nor may a Titan's own.

        Answers 200, 304 (only where `known` was sent) and 4xx. Raises `RemoteFailed` for all else, `TooLarge` beyond
        `max_bytes`. Cancelled, the connection is closed.
        """
        headers = {} if known is None else {"If-None-Match": known}
        if is_newest:
            headers["Cache-Control"] = "no-cache"
        request = self._client.build_request("GET", f"{self._url}{path}", params=query or None, headers=headers)
        self.requests += 1
        with trio.move_on_after(self._limits.total_s):
            async with self._answer(request) as response:
                self._client.cookies.clear()
                status = response.status_code
                if status == 304 and known is not None:
                    return Answer(304, etag=known)
                if not (status == 200 or 400 <= status < 500) or status == 429:
                    raise RemoteFailed(_unusable(response))
                etag = _tag(response.headers.get("etag"))
                try:
                    body = await self._body(response, max_bytes) if status == 200 else b""
                except TooLarge as error:
                    error.etag = etag
                    raise
                return Answer(status, body, etag)
        raise RemoteFailed(f"the answer was not complete after {self._limits.total_s:g} s")

    @asynccontextmanager
    async def _answer(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        try:
            response = await self._client.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
        except Refused as error:
            raise RemoteFailed(f"not connected: {error}") from error
        except (httpcore.TimeoutException, httpx.TimeoutException) as error:
            raise RemoteFailed(f"no answer in time ({type(error).__name__})") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpx.HTTPError, ssl.SSLError, OSError) as error:
            raise RemoteFailed(printable(f"no answer: {_words(error)}")) from error

    async def _body(self, response: httpx.Response, max_bytes: int) -> bytes:
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding not in {"identity", "gzip"}:
            raise RemoteFailed(f"the answer is encoded as {printable(encoding[:40])}, which was not asked for")
        body = _Body(max_bytes, is_zipped=encoding == "gzip")
        # What iterates below has generators within generators, of which none may be left in the middle: an exception
        # must come up from the innermost one, and a cancellation does.
        with trio.CancelScope() as enough:
            async for piece in response.aiter_raw():
                self.received_bytes += len(piece)
                if body.fault is None:
                    body.feed(piece)
                if body.fault is not None:
                    enough.cancel()
        return body.whole()


class _Body:
    """The bytes of an answer, unzipped where they have to be, up to a limit that no bomb gets over."""

    def __init__(self, max_bytes: int, *, is_zipped: bool) -> None:
        self.fault: RemoteFailed | None = None
        self._max_bytes = max_bytes
        self._bytes = bytearray()
        self._unzip = zlib.decompressobj(_GZIP) if is_zipped else None

    def feed(self, piece: bytes) -> None:
        """Take some more; sets `fault` where that is one too many."""
        unzip = self._unzip
        try:
            # One byte more than is allowed tells that there is more.
            self._bytes += piece if unzip is None else unzip.decompress(piece, self._max_bytes + 1 - len(self._bytes))
        except zlib.error as error:
            self.fault = RemoteFailed(f"the answer is no gzip: {error}")
        if len(self._bytes) > self._max_bytes:
            self._bytes.clear()
            self.fault = TooLarge(f"the answer has more than {self._max_bytes} bytes")

    def whole(self) -> bytes:
        """Return all of it. Raises `RemoteFailed`."""
        if self.fault is not None:
            raise self.fault
        if self._unzip is not None and not self._unzip.eof:
            raise RemoteFailed("the answer ends in the middle")
        return bytes(self._bytes)


class _Transport(httpx.AsyncBaseTransport):
    """httpx over a pool whose connections are made by a network of our own, for which it has no setting."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        url = request.url
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Pieces(answer))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._answer.aiter_stream():
            yield piece

    async def aclose(self) -> None:
        await self._answer.aclose()


def _trust(source: Source) -> ssl.SSLContext | None:
    if not source.url.startswith("https:"):
        return None
    try:
        return ssl.create_default_context(cafile=source.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise RemoteFailed(f"ca_file {source.ca_file} cannot be used: {error}") from error


def _unusable(response: httpx.Response) -> str:
    status = response.status_code
    if 300 <= status < 400:
        return f"the server answers {status}; redirects are not followed"
    return f"the server answers {status}"


def _words(error: BaseException) -> str:
    """Say what happened; what wraps a TLS error says nothing itself."""
    cause: BaseException | None = error
    while cause is not None:
        if str(cause):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _tag(text: str | None) -> str | None:
    """Take an entity tag (RFC 9110 8.8.3), strong or weak, that can be sent back as it is."""
    if text is None or len(text) > MAX_TAG_CHARACTERS or not text.isascii() or not text.isprintable():
        return None
    opaque = text.removeprefix("W/")
    return text if len(opaque) >= 2 and opaque[0] == opaque[-1] == '"' and '"' not in opaque[1:-1] else None
