"""Where real servers keep what they are given: a data folder each, or one PostgreSQL database together."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.server import Server, serving


@dataclass(frozen=True)
class Place:
    """The place of some servers; those of one name have one data folder."""

    folder: Path
    database_url: str | None = None

    @contextmanager
    def serving(self, name: str = "a", **settings: str) -> Iterator[Server]:
        """Run a ready server for the time of the block."""
        if self.database_url is not None:
            settings["DATABASE_URL"] = self.database_url
        with serving(self.folder / name, settings=settings) as server:
            yield server

    @property
    def database(self) -> str:
        """The name of the PostgreSQL database."""
        assert self.database_url is not None
        return self.database_url.rpartition("/")[2]
