"""Clients of a store that keep account: what was acknowledged, what failed, how long the slowest call took."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.support.store_documents import submodel
from tests.support.waiting import until
from titan.store.contract import Created, Kind, OutcomeUnknown, Store, StoreUnavailable, WriteMode

BUDGET_S = 1.8


class Load:
    """Writers of new documents and readers of those; each call has the budget of a request."""

    def __init__(self, store: Store, *, budget_s: float = BUDGET_S) -> None:
        self.acknowledged: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.reasons: set[str] = set()
        self.slowest_s = 0.0
        self._store = store
        self._budget_s = budget_s
        self._drawn = 0

    @asynccontextmanager
    async def running(self, *, writers: int = 6, readers: int = 4) -> AsyncIterator["Load"]:
        """Let the clients run; they have done something before the block begins and after it ends."""
        async with trio.open_nursery() as nursery:
            for _ in range(writers):
                nursery.start_soon(self._for_ever, self._write)
            for _ in range(readers):
                nursery.start_soon(self._for_ever, self._read)
            await self.some()
            yield self
            await self.some()
            nursery.cancel_scope.cancel()

    async def some(self, more: int = 20) -> None:
        """Wait until so many more writes were acknowledged."""
        aim = len(self.acknowledged) + more
        await until(lambda: len(self.acknowledged) >= aim, within_s=30, what=f"{more} more writes ({self.outcomes})")

    async def assert_nothing_lost(self) -> None:
        """Read every acknowledged document."""
        for document_id in self.acknowledged:
            assert await self._store.get(Kind.SUBMODEL, document_id) is not None, document_id

    async def _for_ever(self, act) -> None:
        while True:
            begun = trio.current_time()
            try:
                with trio.fail_after(self._budget_s):
                    await act()
            except trio.TooSlowError:
                self.outcomes["too slow"] += 1
            except StoreUnavailable as error:
                self.outcomes["unknown" if isinstance(error, OutcomeUnknown) else "unavailable"] += 1
                self.reasons.add(error.reason)
                await trio.sleep(0.005)
            self.slowest_s = max(self.slowest_s, trio.current_time() - begun)

    async def _write(self) -> None:
        self._drawn += 1
        document_id = f"urn:load:{self._drawn}"
        outcome = await self._store.write(submodel(document_id, ("a", "1"), ("b", "2")), WriteMode.CREATE)
        assert isinstance(outcome, Created)
        self.acknowledged.append(document_id)
        self.outcomes["written"] += 1

    async def _read(self) -> None:
        if self.acknowledged:
            assert await self._store.get(Kind.SUBMODEL, self.acknowledged[-1]) is not None
        else:
            await trio.sleep(0.001)
        self.outcomes["read"] += 1
