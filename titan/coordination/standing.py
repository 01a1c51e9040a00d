"""How this instance stands in a role: what metrics show and what a term's tasks ask."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from titan.store.contract import Fence


class Standing:
    """One role on this instance; outlives terms and actors. Written by the role's lease actor."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.fence: Fence | None = None
        """Of the present term; None while this instance follows."""
        self.epoch = 0
        """Number of the newest term that this instance led; 0 before the first."""
        self._at_work = 0
        self._idle = trio.Event()
        self._idle.set()

    @property
    def leads(self) -> bool:
        """Whether this instance leads, as far as it knows."""
        return self.fence is not None

    def lead(self, epoch: int) -> None:
        """Begin a term."""
        self.fence, self.epoch = Fence(self.role, epoch), epoch

    def follow(self) -> None:
        """End the term, if there is one. What is at work may take its time to stop."""
        self.fence = None

    @contextmanager
    def work(self) -> Iterator[Fence]:
        """Work for the present term, as its task: the lease is not released before the block has ended."""
        assert self.fence is not None, "tasks are started by the term's supervisor, after its lease"
        self._at_work += 1
        self._idle = trio.Event()
        try:
            yield self.fence
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._idle.set()

    async def wait_idle(self) -> None:
        """Return once nothing works for a term."""
        await self._idle.wait()
