"""What documents were after their changes, as far as that is still to be had."""

from collections.abc import Sequence

import trio

from titan.store.contract import Change, ChangeType, Need, Store, StoreUnavailable

AT_ONCE = 8
"""Reads at one time: an instance's connections are for its requests first."""

READ_S = 1.0
"""How long all reads of one batch may take; then the rest is told without content."""


class Contents:
    """Reads the content that events carry; an event whose document has changed again since carries none."""

    def __init__(self, store: Store, max_bytes: int) -> None:
        """`max_bytes`: the largest document that is carried; 0: none is."""
        self._store = store
        self._max_bytes = max_bytes

    async def of(self, changes: Sequence[Change]) -> dict[int, bytes]:
        """Return content by revision, for those changes that are their document's newest and small enough.

        Takes `READ_S` at most; a store that cannot serve is no reason to hold an event back.
        """
        contents: dict[int, bytes] = {}
        newest = {(change.kind, change.id): change for change in changes}
        wanted = iter([change for change in newest.values() if change.type is not ChangeType.DELETED])
        if not self._max_bytes or not newest:
            return contents

        async def read() -> None:
            for change in wanted:
                if (content := await self._read(change)) is not None:
                    contents[change.revision] = content

        with trio.move_on_after(READ_S):
            async with trio.open_nursery() as nursery:
                for _ in range(min(AT_ONCE, len(newest))):
                    nursery.start_soon(read)
        return contents

    async def _read(self, change: Change) -> bytes | None:
        need = Need(is_newest=False, mark=change.mark)
        try:
            found = await self._store.find(change.kind, change.id, need=need)
        except StoreUnavailable:
            return None
        stored = found.stored
        if stored is None or stored.revision != change.revision or len(stored.body) > self._max_bytes:
            return None
        return stored.body
