"""From what operators write to what is asked of the other server's lists, and what a document must then carry."""

from collections.abc import Iterable
from typing import Any, Final

import orjson

from titan.model.identifiers import encode_identifier
from titan.model.references import GLOBAL_ASSET_ID, canonical_asset_id, canonical_reference
from titan.store.contract import Field, Kind, Term
from titan.sync.source import Filter

_GLOBAL: Final = "GlobalReference"


def make_filter(
    *,
    kinds: Iterable[Kind] = tuple(Kind),
    ids: Iterable[str] = (),
    id_short: str = "",
    semantic_id: str = "",
    global_asset_id: str = "",
) -> Filter:
    """Return the filter; what is empty does not restrict anything. `semantic_id` is as `reference_of` takes it."""
    terms: dict[Kind, set[Term]] = {}
    query: dict[Kind, dict[str, str]] = {}

    def demand(kind: Kind, term: Term, parameter: str, text: str) -> None:
        terms.setdefault(kind, set()).add(term)
        query.setdefault(kind, {})[parameter] = text

    for kind in Kind if id_short else ():
        demand(kind, Term(Field.ID_SHORT, id_short), "idShort", id_short)
    if semantic_id:
        reference = reference_of(semantic_id)
        term = Term(Field.SEMANTIC_ID, canonical_reference(reference))
        demand(Kind.SUBMODEL, term, "semanticId", _encoded(reference))
    if global_asset_id:
        asset_id = {"name": GLOBAL_ASSET_ID, "value": global_asset_id}
        term = Term(Field.ASSET_ID, canonical_asset_id(GLOBAL_ASSET_ID, global_asset_id))
        demand(Kind.SHELL, term, "assetIds", _encoded(asset_id))
    chosen = set(kinds)
    frozen = {kind: frozenset(found) for kind, found in terms.items()}
    return Filter(tuple([kind for kind in Kind if kind in chosen]), frozenset(ids), frozen, query)


def reference_of(text: str) -> dict[str, Any]:
    """Return the Reference that a text stands for: its JSON, or the value of one that has a single global key.

    Raises `ValueError`.
    """
    if not text.startswith("{"):
        return {"type": "ExternalReference", "keys": [{"type": _GLOBAL, "value": text}]}
    value = orjson.loads(text)
    keys = value.get("keys")
    has_keys = isinstance(keys, list) and keys and all(map(_is_key, keys))
    if not isinstance(value.get("type"), str) or not has_keys:
        raise ValueError("is no Reference: an object with type and keys is expected")
    return {"type": value["type"], "keys": [{"type": key["type"], "value": key["value"]} for key in keys]}


def _is_key(key: Any) -> bool:
    return isinstance(key, dict) and isinstance(key.get("type"), str) and isinstance(key.get("value"), str)


def _encoded(value: dict[str, Any]) -> str:
    return encode_identifier(orjson.dumps(value).decode())
