"""Which programs may serve which schema, both ways (architecture 6); a pure decision, the same for every store.

A program names the oldest schema that it can serve, a migration the oldest program that may serve what it makes. Only
what lies outside both is refused, so that the version before and the version after may run on one database during a
roll-out. The database states its side in the one row of the table `titan_schema`.
"""

from dataclasses import dataclass
from enum import StrEnum

from titan.version import __version__

NEWEST_SCHEMA = "0007"
"""The schema that this program's migrations end at; a test compares it with the files."""

OLDEST_SCHEMA = "0007"
"""The oldest schema that this program can serve: at least that of the release before."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What the database says of itself: the row of `titan_schema`."""

    revision: str
    """Four digits; a later migration has the greater number."""
    oldest_program: str
    """The oldest version of the program that may serve it."""


@dataclass(frozen=True, slots=True)
class Program:
    """What a program says of itself."""

    version: str = __version__
    oldest_schema: str = OLDEST_SCHEMA
    newest_schema: str = NEWEST_SCHEMA


class Fit(StrEnum):
    """How program and schema go together."""

    EMPTY = "empty"  # no schema yet: to be migrated from nothing
    CURRENT = "current"
    OLDER = "older"  # served as it is; an upgrade is due
    NEWER = "newer"  # made by a later program, and this one may serve it
    TOO_OLD = "too old"  # to be upgraded first
    TOO_NEW = "too new"  # needs a later program


SERVABLE = frozenset({Fit.CURRENT, Fit.OLDER, Fit.NEWER})
UPGRADABLE = frozenset({Fit.EMPTY, Fit.OLDER, Fit.TOO_OLD})


class SchemaUnfit(Exception):
    """This program cannot serve that schema (exit code 4); the text says what to do."""

    def __init__(self, fit: Fit, reason: str) -> None:
        super().__init__(reason)
        self.fit = fit
        self.reason = reason


def judge(found: Schema | None, program: Program | None = None) -> Fit:
    """Say how the schema found and the program go together; None stands for a database without one."""
    program = program or Program()
    if found is None:
        return Fit.EMPTY
    if found.revision == program.newest_schema:
        return Fit.CURRENT
    if found.revision < program.newest_schema:
        return Fit.OLDER if found.revision >= program.oldest_schema else Fit.TOO_OLD
    return Fit.NEWER if version_key(program.version) >= version_key(found.oldest_program) else Fit.TOO_NEW


def unfit(found: Schema | None, program: Program | None = None) -> SchemaUnfit | None:
    """Return why the program cannot serve that schema, or None where it can."""
    program = program or Program()
    fit = judge(found, program)
    if fit in SERVABLE:
        return None
    if found is None:
        return SchemaUnfit(fit, "the database has no schema yet; run `titan db upgrade`")
    if fit is Fit.TOO_OLD:
        return SchemaUnfit(
            fit,
            f"the database has schema {found.revision}, titan {program.version} serves {program.oldest_schema} and "
            "later; run `titan db upgrade`",
        )
    return SchemaUnfit(
        fit,
        f"the database has schema {found.revision}, which needs titan {found.oldest_program} or later and this is "
        f"{program.version}; run the later version, or its `titan db downgrade` first",
    )


def version_key(text: str) -> tuple[int, ...]:
    """Order versions by their numbers; what follows them (rc, dev, local parts) does not count."""
    numbers = []
    for part in text.partition("+")[0].split("."):
        digits = ""
        for character in part:
            if not character.isdigit():
                break
            digits += character
        if not digits:
            break
        numbers.append(int(digits))
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
