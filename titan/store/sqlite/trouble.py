"""What keeps a store from serving as it should although its parts run; the actor makes the health check of it."""

from dataclasses import dataclass
from enum import StrEnum


class TroubleKind(StrEnum):
    """What it is, and so how much still goes on."""

    FULL = "full"  # reads go on, and writes again as soon as there is room
    UNREADABLE = "unreadable"  # some documents are damaged; the others are read, and written
    DAMAGED = "damaged"  # writes meet damage


@dataclass(frozen=True, slots=True)
class Trouble:
    """One trouble, with its reason for people."""

    kind: TroubleKind
    reason: str
