"""Running `titan` inside the test's own process, as a user would on a command line."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.sqlite_files import fresh_database
from titan.cli.main import run

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deploy/examples/pump-station.json"
_OURS = ("TITAN_", "DATABASE_", "REDIS_", "OIDC_")


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


Titan = Callable[..., Ended]


@pytest.fixture
def titan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[Any]) -> Titan:
    """Run a command with default settings but for the folder of the store, `data_dir`."""
    for name in os.environ:
        if name.startswith(_OURS):
            monkeypatch.delenv(name)

    def call(*arguments: object, data_dir: Path | None = None) -> Ended:
        if data_dir is not None:
            monkeypatch.setenv("TITAN_DATA_DIR", str(data_dir))
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return call


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder with an empty store."""
    return fresh_database(tmp_path / "data" / "titan.db").parent
