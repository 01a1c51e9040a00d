"""Query parameters: unknown, repeated or malformed ones are answered, never guessed at."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from titan.api.call import Query
from titan.api.cursors import decode_cursor
from titan.api.services import PageSizes
from titan.model.identifiers import InvalidIdentifier, decode_base64url
from titan.model.references import canonical_asset_id, canonical_reference
from titan.model.strict_json import JsonError
from titan.model.strict_json import parse as parse_json
from titan.model.verification import check_reference, check_specific_asset_id
from titan.store.contract import Field, Term

MAX_ID_SHORT = 128
MAX_ENCODED_REFERENCE = 3072
"""Constraint AASa-002, in encoded characters; the same bound for one value of `assetIds`."""

_LIMIT = re.compile(r"[0-9]{1,6}", re.ASCII)

Faults = list[str]


@dataclass(slots=True)
class _Draft:
    """What has been read so far."""

    sizes: PageSizes
    limit: int
    cursor: str | None = None
    core: bool = False
    with_blobs: bool = False
    terms: list[Term] = field(default_factory=list)


def read_query(
    pairs: tuple[tuple[str, str], ...], known: tuple[str, ...], operation_id: str, sizes: PageSizes
) -> Query | Faults:
    """Read the parameters of one request, or say everything that is wrong with them."""
    if not pairs:
        return Query(sizes.default)
    draft = _Draft(sizes, sizes.default)
    faults: Faults = []
    seen: set[str] = set()
    for name, text in pairs:
        if name not in known:
            allowed = f"known are {', '.join(known)}" if known else "this operation has none"
            faults.append(f"unknown query parameter {name[:64]!r}; {allowed}")
        elif name in seen and name not in _REPEATABLE:
            faults.append(f"query parameter {name!r} is given more than once")
        elif (fault := _READERS[name](draft, text)) is not None:
            faults.append(f"query parameter {name!r} {fault}")
        seen.add(name)
    after = _after(draft, operation_id)
    if after is None:
        faults.append("query parameter 'cursor' is not one that this list gave out")
    if faults or after is None:
        return list(dict.fromkeys(faults))
    return Query(draft.limit, after, draft.core, draft.with_blobs, tuple(dict.fromkeys(draft.terms)))


def _after(draft: _Draft, operation_id: str) -> int | None:
    return 0 if draft.cursor is None else decode_cursor(draft.cursor, operation_id, draft.terms)


def _limit(draft: _Draft, text: str) -> str | None:
    if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= draft.sizes.most:
        return f"must be a number from 1 to {draft.sizes.most}"
    draft.limit = int(text)
    return None


def _cursor(draft: _Draft, text: str) -> str | None:
    draft.cursor = text
    return None


def _level(draft: _Draft, text: str) -> str | None:
    draft.core = text == "core"
    return None if text in {"deep", "core"} else "must be deep or core"


def _extent(draft: _Draft, text: str) -> str | None:
    draft.with_blobs = text == "withBlobValue"
    return None if text in {"withBlobValue", "withoutBlobValue"} else "must be withBlobValue or withoutBlobValue"


def _id_short(draft: _Draft, text: str) -> str | None:
    if not 1 <= len(text) <= MAX_ID_SHORT:
        return f"must have 1 to {MAX_ID_SHORT} characters"
    draft.terms.append(Term(Field.ID_SHORT, text))
    return None


def _reference(field_: Field) -> Callable[[_Draft, str], str | None]:
    def read(draft: _Draft, text: str) -> str | None:
        value = _decode(text)
        if isinstance(value, JsonError):
            return value.reason
        fault = check_reference(value)
        if fault is not None:
            return f"is no Reference: {fault}"
        draft.terms.append(Term(field_, canonical_reference(value)))
        return None

    return read


def _asset_ids(draft: _Draft, text: str) -> str | None:
    """Take the three encodings in use: one object per value, several values with commas, one array (api.md 5.2)."""
    for part in text.split(","):
        value = _decode(part)
        if isinstance(value, JsonError):
            return value.reason
        listed = value if isinstance(value, list) else [value]
        if not listed:
            return "is an empty list"
        for asset_id in listed:
            fault = check_specific_asset_id(asset_id)
            if fault is not None:
                return f"is no SpecificAssetId: {fault}"
            if "semanticId" in asset_id or "supplementalSemanticIds" in asset_id:
                return "cannot be searched by the semantics of an asset id"
            draft.terms.append(Term(Field.ASSET_ID, _canonical_asset_id(asset_id)))
    return None


def _canonical_asset_id(asset_id: dict[str, Any]) -> str:
    return canonical_asset_id(asset_id["name"], asset_id["value"], asset_id.get("externalSubjectId"))


def _decode(text: str) -> Any | JsonError:
    if len(text) > MAX_ENCODED_REFERENCE:
        return JsonError(f"must not have more than {MAX_ENCODED_REFERENCE} characters")
    raw = decode_base64url(text)
    if isinstance(raw, InvalidIdentifier):
        return JsonError(raw.reason)
    value = parse_json(raw)
    return JsonError(f"holds no JSON: {value}") if isinstance(value, JsonError) else value


_REPEATABLE = frozenset({"assetIds"})
_READERS: dict[str, Callable[[_Draft, str], str | None]] = {
    "limit": _limit,
    "cursor": _cursor,
    "level": _level,
    "extent": _extent,
    "idShort": _id_short,
    "semanticId": _reference(Field.SEMANTIC_ID),
    "isCaseOf": _reference(Field.IS_CASE_OF),
    "dataSpecificationRef": _reference(Field.DATA_SPECIFICATION),
    "assetIds": _asset_ids,
}
KNOWN = frozenset(_READERS)
"""Every parameter that can be read; a row may list no other."""
