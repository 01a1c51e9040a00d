"""Installations for the scenarios of this folder; a plain one is shared: what recovers can serve the next test."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.installation import Installation
from tests.chaos.rigs import missing, plain


class _Shared:
    """An installation that is made anew only where a test left it broken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._closing = contextlib.ExitStack()
        self._here: Installation | None = None

    def get(self) -> Installation:
        if self._here is None or not all(instance.is_ready() for instance in self._here.instances):
            with contextlib.suppress(AssertionError):  # that it is broken was told by the test that broke it
                self.close()
            self._here = self._closing.enter_context(plain(self._folder))
        return self._here

    def close(self) -> None:
        self._here = None
        self._closing.close()


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Iterator[_Shared]:
    kept = _Shared(tmp_path_factory.mktemp("plain"))
    yield kept
    kept.close()


@pytest.fixture
def here(shared: _Shared) -> Installation:
    """Two instances over one server, all of them well."""
    return shared.get()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user of PostgreSQL may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="titan-chaos-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def needs() -> Callable[[str], None]:
    """Skip the test, with the reason, where the machine or our rights do not have what it needs."""

    def check(need: str) -> None:
        if reason := missing(need):
            pytest.skip(reason)

    return check
