"""Fresh databases for tests, made by the real migrations once and copied from then on."""

import functools
import tempfile
from pathlib import Path

from titan.store.migrations import runner


@functools.cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "titan.db"
        runner.upgrade(path)
        assert not path.with_name("titan.db-wal").exists()
        return path.read_bytes()


def fresh_database(path: Path) -> Path:
    """Write an empty, current database to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_template())
    return path
