"""Running `titan` inside the test's own process, as a user would on a command line."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import postgres_store
from tests.support.postgres import Postgres
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


@pytest.fixture
def database(titan: Titan, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database in PostgreSQL with the current schema, which is the one that commands work on; its name."""
    with postgres_store.fresh_database(postgres) as name:
        monkeypatch.setenv("DATABASE_URL", postgres.url(name))
        yield name


@pytest.fixture
def empty(titan: Titan, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same without any schema."""
    monkeypatch.setenv("DATABASE_URL", postgres.create_database("empty"))
    yield "empty"
    postgres.drop_database("empty")
