"""What an election can be asked, wherever it is held. Nothing here has a clock: `ttl_s` runs where leases are kept."""

from dataclasses import dataclass
from typing import Protocol


class ElectionAway(Exception):
    """The election cannot be asked now. What the question was to do may or may not have happened."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that somebody has."""

    holder: str
    left_s: float
    """How long it holds if it is not renewed, by the clock of where it is kept; infinity where it never ends."""
    is_asked_for: bool
    """Somebody wants its holder to let go (`Election.ask`)."""


class Election(Protocol):
    """Leases by role; each is held by one value at most, and ends by itself.

    `holder` begins with the instance's id and is unique per start of a process. Every method raises `ElectionAway`;
    cancelled, or away, an `acquire` may have succeeded all the same: `release` what may be held.
    """

    async def acquire(self, role: str, holder: str, ttl_s: float) -> bool:
        """Take the lease if nobody has it; False if somebody has, be it the same holder."""
        ...

    async def renew(self, role: str, holder: str, ttl_s: float) -> bool:
        """Have it end `ttl_s` from now; False if it is not this holder's any more."""
        ...

    async def release(self, role: str, holder: str) -> None:
        """Let go of it, if it is this holder's."""
        ...

    async def look(self, role: str) -> Held | None:
        """Say who has it; None: nobody."""
        ...

    async def ask(self, role: str) -> bool:
        """Ask its holder to let go, at its next look; False if nobody has it."""
        ...

    async def clear(self, role: str) -> None:
        """Take it away from whoever has it, for an operator who knows that the holder is no more."""
        ...
