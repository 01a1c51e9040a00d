"""Where servers of tests keep their files: each in a new folder, all of them below one where that is asked for."""

import contextlib
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

_below: ContextVar[Path | None] = ContextVar("below", default=None)


@contextlib.contextmanager
def folders_below(path: Path) -> Iterator[None]:
    """Have every new folder made in this one for the time of the block."""
    token = _below.set(path)
    try:
        yield
    finally:
        _below.reset(token)


def new_folder(prefix: str, *, otherwise: str | None = None) -> Path:
    """Make an empty folder, `otherwise` saying where if nobody asked for it elsewhere."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_below.get() or otherwise))
