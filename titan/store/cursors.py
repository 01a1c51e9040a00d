"""Durable cursors: how far those have come who follow the outbox and must not miss a change, whoever leads.

Not promised: that a cursor is kept for ever. One that has not been kept anew for `CURSOR_KEPT_S` is forgotten, so that
what its owner left behind cannot fill the disk; who may have nothing to tell for so long keeps the same one again. Nor
that it outlives a restore, or a fail-over to another history: then it is kept, and `changes` says that it is gone.

Promised: **what is behind a kept cursor stays.** From the moment that `keep` said so, no trim forgets a change that
`contract.Store.changes` would tell after it, however long ago that was made, until the cursor is moved on, dropped or
forgotten. Of a trim and a `keep` at one time, either the trim stops before it or `keep` says that it is too late.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from titan.store.contract import Fence

CURSOR_KEPT_S = 7 * 24 * 3600
"""How long a cursor that nobody keeps anew holds up the trim."""


@dataclass(frozen=True, slots=True)
class DurableCursor:
    """One of them."""

    name: str
    """Of whom it is, such as a leader's task and what it publishes to."""
    cursor: str
    kept_ms: int
    """When it was kept last: wall time, milliseconds since the epoch, by the database's clock."""


class Cursors(Protocol):
    """The durable cursors of one store. Errors and cancellation are as in `contract.Store`."""

    async def keep(self, name: str, cursor: str, *, fence: Fence) -> bool:
        """Keep a cursor under that name instead of the one before; raises `Deposed` where that term is over.

        False, and nothing is changed, where not all that is behind it can be told any more: `ChangesGone`.
        """
        ...

    async def look(self) -> Sequence[DurableCursor]:
        """Return all of them, by name."""
        ...

    async def drop(self, name: str) -> bool:
        """Forget a cursor, be it at an operator's wish; False where there is none. A living owner will keep it anew."""
        ...
