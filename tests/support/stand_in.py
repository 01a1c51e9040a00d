"""A small AAS server as others write them: lists with paging, documents, and what a test makes it do wrong.

It speaks HTTP over loopback on a thread of its own, gives entity tags and lists of references only where it is told to,
and remembers what it was asked.
"""

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]

SECTIONS = {
    "shells": "AssetAdministrationShell",
    "submodels": "Submodel",
    "concept-descriptions": "ConceptDescription",
}


@dataclass
class Asked:
    """One request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Said:
    """One answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class StandIn:
    """What the server holds and how it behaves; may be changed at any time."""

    documents: dict[str, dict[str, Json]] = field(default_factory=lambda: {section: {} for section in SECTIONS})
    has_tags: bool = False
    has_references: bool = False
    filters: bool = True
    page_items: int = 100
    asked: list[Asked] = field(default_factory=list)
    instead: Callable[[Asked], Said | None] = lambda _asked: None
    """Asked first; what it answers is the answer."""
    url: str = ""
    port: int = 0

    def put(self, section: str, *documents: Json) -> None:
        """Hold these, each in the place of one of the same id."""
        for document in documents:
            self.documents[section][document["id"]] = document

    def paths(self) -> list[str]:
        """Return what was asked for since the last `forget`."""
        return [asked.path for asked in self.asked]

    def documents_asked(self) -> list[str]:
        """Return the ids of the single documents that were asked for."""
        parts = [path.strip("/").split("/") for path in self.paths()]
        return [_decoded(part[1]) for part in parts if len(part) == 2 and not part[1].startswith("$")]

    def forget(self) -> None:
        """Forget what was asked."""
        self.asked.clear()

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        if (said := self.instead(asked)) is not None:
            return said
        section, *rest = asked.path.strip("/").split("/")
        if section not in SECTIONS:
            return Said(404)
        if not rest:
            return self._list(section, asked, lambda document: document)
        if rest == ["$reference"]:
            if not self.has_references:
                return Said(400)
            return self._list(section, asked, lambda document: _reference(section, document))
        document = self.documents[section].get(_decoded(rest[0]))
        if document is None:
            return Said(404)
        body = json.dumps(document).encode()
        if not self.has_tags:
            return Said(200, body)
        tag = f'W/"{hash(body):x}"'
        if asked.headers.get("if-none-match") == tag:
            return Said(304, headers={"ETag": tag})
        return Said(200, body, {"ETag": tag})

    def _list(self, section: str, asked: Asked, shown: Callable[[Json], Json]) -> Said:
        found = list(self.documents[section].values())
        if self.filters and "idShort" in asked.query:
            found = [document for document in found if document.get("idShort") == asked.query["idShort"]]
        start = int(asked.query.get("cursor", "0"))
        end = start + min(self.page_items, int(asked.query.get("limit", "100")))
        paging = {"cursor": str(end)} if end < len(found) else {}
        result = [shown(document) for document in found[start:end]]
        return Said(200, json.dumps({"paging_metadata": paging, "result": result}).encode())


def _reference(section: str, document: Json) -> Json:
    return {"type": "ModelReference", "keys": [{"type": SECTIONS[section], "value": document["id"]}]}


def _decoded(segment: str) -> str:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode()


@contextmanager
def stand_in(tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[StandIn]:
    """Run one for the time of the block, over TLS if there is a context for it."""
    it = StandIn(**options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # an answer is one segment: two would wait for each other's acknowledgement

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = it.answer(Asked(parts.path, dict(parse_qsl(parts.query)), headers))
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that leaves in the middle is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    it.port = server.server_port
    it.url = f"http{'' if tls is None else 's'}://127.0.0.1:{it.port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
