from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.postgres import Postgres
from tests.support.postgres_store import fresh_database
from tests.support.server import serving


@dataclass
class Place:
    """Where servers keep what they are given: a data folder, or a PostgreSQL database that several share."""

    folder: Path
    database_url: str | None = None

    @contextmanager
    def serving(self, name: str = "a", **settings: str):
        if self.database_url is not None:
            settings["DATABASE_URL"] = self.database_url
        with serving(self.folder / name, settings=settings) as server:
            yield server


@pytest.fixture
def embedded(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def shared(tmp_path, postgres: Postgres):
    with fresh_database(postgres) as name:
        yield Place(tmp_path, postgres.url(name))


@pytest.fixture(params=["embedded", "shared"])
def place(request) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found
