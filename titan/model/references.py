"""One canonical text per thing that documents are found by; documents are indexed and filters are asked in it."""

from typing import Any

import orjson

GLOBAL_ASSET_ID = "globalAssetId"
"""The name under which `assetIds` asks for AssetInformation/globalAssetId (constraint AASd-116)."""


def canonical_reference(reference: dict[str, Any]) -> str:
    """Return a text that two references share exactly if they have the same type and the same keys in order.

    `referredSemanticId` says what the target means, not which it is, and does not count.
    """
    keys = [[key["type"], key["value"]] for key in reference["keys"]]
    return orjson.dumps([reference["type"], keys]).decode()


def canonical_asset_id(name: str, value: str) -> str:
    """Return a text that two asset ids share exactly if name and value are the same."""
    return orjson.dumps([name, value]).decode()
