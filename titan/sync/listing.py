"""The lists of another server: ids alone where it can, whole documents where it cannot."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from titan.model.environment import Malformed, cut_listing
from titan.model.references import KEY_TYPES
from titan.store.contract import Kind
from titan.sync.remote import Remote, RemoteFailed, TooLarge
from titan.sync.source import Limits, Source

PATHS: Final = {
    Kind.SHELL: "/shells",
    Kind.SUBMODEL: "/submodels",
    Kind.CONCEPT_DESCRIPTION: "/concept-descriptions",
}

MAX_CURSOR_CHARACTERS: Final = 4096


class By(StrEnum):
    """Which list is read."""

    REFERENCES = "references"  # ids; each document is then asked for, and travels only if its entity tag is another
    DOCUMENTS = "documents"  # everything travels, and digests tell what changed
    IDS = "ids"  # none: the filter names the documents


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of a list."""

    id: str | None
    """None where none could be read off it."""
    raw: bytes | None = None
    """The document as listed: without the values of its Blob elements."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page."""

    items: tuple[Listed, ...]
    cursor: str | None


class CursorRefused(Exception):
    """The server does not know the cursor (any more)."""


class NoSuchList(Exception):
    """The server does not have this list."""


async def read_page(remote: Remote, source: Source, kind: Kind, by: By, cursor: str | None, limits: Limits) -> ListPage:
    """Read one page. Raises `RemoteFailed`, `CursorRefused`, `NoSuchList`."""
    if by is By.IDS:
        return ListPage(tuple([Listed(document_id) for document_id in sorted(source.filter.ids)]), None)
    path = PATHS[kind] + ("/$reference" if by is By.REFERENCES else "")
    limit = limits.page_items
    while True:
        query = {"limit": str(limit), **source.filter.query.get(kind, {})}
        if cursor is not None:
            query["cursor"] = cursor
        try:
            answer = await remote.get(path, query, max_bytes=limits.max_page_bytes)
        except TooLarge:
            if limit == 1:
                raise
            limit = max(1, limit // 10)
            continue
        break
    if answer.status == 400 and cursor is not None:
        raise CursorRefused(f"{path} answers 400 to its own cursor")
    if answer.status in {400, 404, 405} and by is By.REFERENCES:
        raise NoSuchList(path)
    if answer.status != 200:
        raise RemoteFailed(f"{path} answers {answer.status}")
    return _page(path, kind, by, answer.body)


def _page(path: str, kind: Kind, by: By, body: bytes) -> ListPage:
    listing = cut_listing(body)
    if isinstance(listing, Malformed):
        raise RemoteFailed(f"{path}: the answer {listing.reason}")
    if listing.cursor is not None and len(listing.cursor) > MAX_CURSOR_CHARACTERS:
        raise RemoteFailed(f"{path}: a cursor of {len(listing.cursor)} characters")
    read = _reference if by is By.REFERENCES else _document
    return ListPage(tuple([read(kind, raw) for raw in listing.items]), listing.cursor)


def _document(_kind: Kind, raw: bytes) -> Listed:
    value = _loads(raw)
    return Listed(_text(value.get("id")), raw)


def _reference(kind: Kind, raw: bytes) -> Listed:
    keys = _loads(raw).get("keys")
    key = keys[0] if isinstance(keys, list) and len(keys) == 1 and isinstance(keys[0], dict) else {}
    return Listed(_text(key.get("value")) if key.get("type") == KEY_TYPES[kind] else None)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _loads(raw: bytes) -> dict[str, Any]:
    """Read as far as it can be read; what is wrong with it is found out when it is to be taken."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
