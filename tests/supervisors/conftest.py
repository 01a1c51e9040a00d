"""Fixtures of the tests of the whole process."""

from pathlib import Path

import pytest


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder that nobody has made yet."""
    return tmp_path / "data"
