"""The actor that owns the island's thread: everything that speaks asyncio lives there (architecture 4.1)."""

from supervisors.kernel import Context
from titan.island import Island

FRESH_S = 5.0
"""An older beat means that the island's loop is stuck, which only a new process can end; as for trio's own beat."""


class IslandActor:
    """Runs the thread; its death ends the actor, for its supervisor to restart it and what stands on it."""

    def __init__(self, island: Island) -> None:
        self._island = island

    async def run(self, ctx: Context) -> None:
        """Serve until cancelled."""
        await self._island.serve(ctx.started)

    def is_alive(self) -> bool:
        """Say whether the loop turns, for liveness. True while there is no thread: then the supervisor is at work."""
        statistics = self._island.statistics
        return not statistics.running or statistics.beat_age_s <= FRESH_S
