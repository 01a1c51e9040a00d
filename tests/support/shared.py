"""The material under ../shared: official files and published templates, for tests only."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# Beside the checkout, or beside the folder that a work tree lies in.
SHARED = next((path / "shared" for path in ROOT.parents if (path / "shared/spec").is_dir()), ROOT.parent / "shared")


def shared(relative: str) -> Path:
    """Return a path under ../shared; without it, fail in CI and skip elsewhere."""
    path = SHARED / relative
    if not path.exists():
        reason = f"../shared/{relative} is not there"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@cache
def shared_json(relative: str) -> Any:
    return json.loads(shared(relative).read_text())


def shared_names(folder: str, pattern: str) -> list[str]:
    """List files for `parametrize`; where there are none, one stand-in that `shared` will not find."""
    return sorted(f"{folder}/{path.name}" for path in (SHARED / folder).glob(pattern)) or [f"{folder}/{pattern}"]
