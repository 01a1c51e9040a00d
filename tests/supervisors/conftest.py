"""Fixtures of the tests of the whole process."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from coverage import Coverage

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the coverage of the processes that these tests start, where that of the tests is: they are the subject.

    Elsewhere processes are means to an end, and measuring would make each of them half as slow again.
    """
    if Coverage.current() is not None:
        monkeypatch.setenv("COVERAGE_PROCESS_START", str(ROOT / "pyproject.toml"))
        monkeypatch.setenv("COVERAGE_FILE", str(ROOT / ".coverage"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder that nobody has made yet."""
    return tmp_path / "data"


@pytest.fixture
def hangup() -> Iterator[None]:
    """Have SIGHUP mean what it does by default, also for processes to come, whatever the tests were started with."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
