"""L1: documents in this process' memory, the least recently used ones dropped at a limit of bytes."""

from collections import OrderedDict

from titan.store.contract import Stored

ENTRY_BYTES = 700
"""What an entry takes besides id and body: the objects around them (measured)."""

LARGEST_SHARE = 16
"""A document larger than this part of the whole is not kept: it would push out many for one."""


class Memory:
    """What stands in here is what the tail has not named since; it evicts by `named`."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._entries: OrderedDict[tuple[bytes, bool], Stored] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, document_id: str, *, with_blobs: bool) -> Stored | None:
        """Return the document, None where it is not here."""
        place = (key, with_blobs)
        stored = self._entries.get(place)
        if stored is None or stored.id != document_id:
            return None
        self._entries.move_to_end(place)
        return stored

    def put(self, key: bytes, stored: Stored, *, with_blobs: bool) -> None:
        """Keep a document; what was here stays if it is newer. Whether it still stands is the caller's to know."""
        place = (key, with_blobs)
        size = _size(stored)
        if size * LARGEST_SHARE > self.max_bytes:
            return
        before = self._entries.pop(place, None)
        if before is not None:
            if before.revision > stored.revision:
                stored = before
                size = _size(before)
            self.bytes -= _size(before)
        self._entries[place] = stored
        self.bytes += size
        while self.bytes > self.max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.bytes -= _size(oldest)

    def named(self, key: bytes, revision: int) -> None:
        """Drop what is older than this revision."""
        for with_blobs in (False, True):
            stored = self._entries.get((key, with_blobs))
            if stored is not None and stored.revision < revision:
                del self._entries[key, with_blobs]
                self.bytes -= _size(stored)

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self.bytes = 0


def _size(stored: Stored) -> int:
    return len(stored.body) + len(stored.id) + ENTRY_BYTES
