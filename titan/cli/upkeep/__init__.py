"""What `titan db` does to a store: one protocol, one file for each kind of store."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click

from titan.store.schema import Schema

Progress = Callable[[int, int], None]
"""Told how much of how much is done."""


class Refused(click.ClickException):
    """It was not done, for a reason that the operator can change: exit code 1."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a migration found and what it left."""

    before: Schema | None
    after: Schema | None


@dataclass(frozen=True, slots=True)
class Checked:
    """The schema, and what is wrong with what is stored under it, one line each."""

    schema: Schema | None
    findings: list[str]


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup holds."""

    schema: Schema
    size: int
    """Bytes of the database."""
    files: int
    """How many files of documents; they are in the folder `FILE-blobs`."""


@dataclass(frozen=True, slots=True)
class Current:
    """What a database says of itself."""

    schema: Schema | None
    identity: str | None
    """Another one after each restore."""


class Upkeep(Protocol):
    """Looks after one store. Every method raises `StoreUnavailable`, `StoreDamaged`, or `Refused` with what to do."""

    kind: str
    """`sqlite` or `postgresql`."""
    place: str
    """Where the store is, for people; never with a password."""
    remedy: str
    """What to do about a damaged store."""
    not_checked: str | None
    """What `check` does not look for, and what does."""

    def current(self) -> Current:
        """Look at the database; it may be empty."""
        ...

    def upgrade(self, revision: str) -> Moved:
        """Bring it to a later revision; may raise `titan.store.migrations.runner.NotMigrated`.

        `head` leaves a schema alone that only a later program knows.
        """
        ...

    def downgrade(self, revision: str, *, may_delete_documents: bool) -> Moved:
        """Take it back to an earlier revision; may raise `titan.store.migrations.runner.NotMigrated`."""
        ...

    def check(self) -> Checked:
        """Read everything and say what is wrong."""
        ...

    def back_up(self, file: Path, progress: Progress) -> BackedUp:
        """Copy it to a new file."""
        ...

    def restore(self, file: Path, progress: Progress) -> Schema:
        """Put a backup in its place."""
        ...
