"""The election of an instance that shares its store with nobody: it wins. The embedded store sees to it that it may."""

import math

from titan.coordination.election import Held


class Alone:
    """See `titan.coordination.election.Election`; never away."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}

    async def acquire(self, role: str, holder: str, ttl_s: float) -> bool:  # noqa: ARG002
        """Take the lease."""
        return self._holders.setdefault(role, holder) == holder

    async def renew(self, role: str, holder: str, ttl_s: float) -> bool:  # noqa: ARG002
        """Keep it."""
        return self._holders.get(role) == holder

    async def release(self, role: str, holder: str) -> None:
        """Let go of it."""
        if self._holders.get(role) == holder:
            del self._holders[role]

    async def look(self, role: str) -> Held | None:
        """Say that we have it, if so."""
        holder = self._holders.get(role)
        return None if holder is None else Held(holder, math.inf, is_asked_for=False)

    async def ask(self, role: str) -> bool:  # noqa: ARG002
        """There is nobody to let go for."""
        return False

    async def clear(self, role: str) -> None:
        """Forget who has it."""
        self._holders.pop(role, None)
