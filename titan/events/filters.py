"""Which changes a client wants to hear of."""

from collections.abc import Callable
from dataclasses import dataclass

from titan.events.cloudevent import type_of
from titan.store.contract import Change, Kind


@dataclass(frozen=True, slots=True)
class Filter:
    """Each part narrows it; one that is empty takes everything."""

    types: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    id_short_paths: frozenset[str] = frozenset()

    def passes(self, change: Change) -> bool:
        """Say whether the client wants it."""
        return (
            (not self.types or type_of(change) in self.types)
            and (not self.ids or change.id in self.ids)
            # A change of a whole submodel may be one of any of its elements.
            and (not self.id_short_paths or change.kind is Kind.SUBMODEL)
        )


EVERYTHING = Filter()

MaySee = Callable[[str, Change], bool]
"""Whether this caller may learn of that change; asked for each one, so it must be quick."""


def everybody_sees(caller: str, change: Change) -> bool:
    """Hide nothing."""
    del caller, change
    return True


def wants_of(chosen: Filter, caller: str, may_see: MaySee) -> Callable[[Change], bool]:
    """Return what decides of each change whether this client gets it."""
    return lambda change: chosen.passes(change) and may_see(caller, change)
