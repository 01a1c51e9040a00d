"""The store as one session sees it that would rather be answered by caches and a replica, over a real standby."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import trio

from tests.support.postgres_store import PATIENT, opened
from tests.support.waiting import until
from titan.cache.memory import Memory
from titan.cache.store import CoherentStore
from titan.cache.tail import Tail
from titan.store.contract import NEWEST, Found, Kind, Need, Page, Term, WriteOutcome

T = TypeVar("T")


class SessionStore(CoherentStore):
    """Whatever is asked of it need only show what it has shown or written before; what it shows is remembered."""

    seen = 0

    async def find(self, kind: Kind, document_id: str, *, with_blobs: bool = False, need: Need = NEWEST) -> Found:
        """Read as the session that it is."""
        need = self._need(need)
        assert self._replica is not None
        found = await _within_a_second(
            partial(self._replica.find, kind, document_id, with_blobs=with_blobs, mark=need.mark)
        ) or await super().find(kind, document_id, with_blobs=with_blobs, need=need)
        self.seen = max(self.seen, found.mark)
        return found

    async def page(
        self,
        kind: Kind,
        *,
        terms: Sequence[Term] = (),
        after: int = 0,
        limit: int = 100,
        with_blobs: bool = False,
        need: Need = NEWEST,
    ) -> Page:
        """Read as the session that it is."""
        need = self._need(need)
        asked: dict[str, Any] = {"terms": terms, "after": after, "limit": limit, "with_blobs": with_blobs}
        assert self._replica is not None
        page = await _within_a_second(partial(self._replica.page, kind, mark=need.mark, **asked)) or await super().page(
            kind, need=need, **asked
        )
        self.seen = max(self.seen, page.mark)
        return page

    def _need(self, need: Need) -> Need:
        return Need(is_newest=False, mark=max(need.mark, self.seen))

    async def write(self, *args: Any, **options: Any) -> WriteOutcome:
        """Write, and have seen it."""
        outcome = await super().write(*args, **options)
        self.seen = max(self.seen, outcome.mark)
        return outcome

    async def delete(self, *args: Any, **options: Any) -> WriteOutcome:
        """Delete, and have seen it."""
        outcome = await super().delete(*args, **options)
        self.seen = max(self.seen, outcome.mark)
        return outcome


async def _within_a_second(ask: Callable[[], Awaitable[T | None]]) -> T | None:
    """Ask a replica again and again: it soon shows what was just written, and the test is to see that."""
    with trio.move_on_after(1):
        while (answer := await ask()) is None:  # noqa: ASYNC110  (another process gets there)
            await trio.sleep(0.001)
        return answer
    return None


@asynccontextmanager
async def opened_session(url: str, read_url: str) -> AsyncIterator[SessionStore]:
    """Open a store as one session, with a replica that is near."""
    async with opened(url, limits=PATIENT, read_url=read_url) as it:
        memory = Memory(0)
        tail = Tail(on_named=memory.named, on_begin=memory.clear)
        await until(lambda: it.replica.is_near)
        yield SessionStore(it.island, it.database, tail, memory, None, it.replica)
