"""Files that documents name: what every store promises for them (architecture 4.4).

Not promised: that a file which no document names is still there after a day, and that two uploads of equal content
take the room of one.

Promised:

* **A key is never used twice.** It is the content's SHA-256 and 128 random bits: it says what the file must contain,
  a removal of an old file can never meet a new one of equal content, and who knows a key has read it in a document.
* **On disk before it is named.** `Upload.finish` returns once the content is as durable as the store's documents are.
  Until then there is nothing: an upload that breaks off, however it does, never becomes a file.
* **Kept while it is named.** The keys that a document names (`contract.Document.blobs`) are noted in the transaction
  that writes it, and the notes go in the transaction that replaces or deletes it. A key without a file is noted
  nowhere. `sweep` removes what no document has named for some time, and what broken uploads left behind.
* **Flat memory.** Content goes through in pieces, both ways, and waits where the other side does.
* **Content never changes**, so a file may be read without any lock for as long as somebody names it.

Errors are those of `titan.store.contract`: `StoreUnavailable`, and `StoreFull` where there is no room. Callers own the
time-outs (a scope); cancelling an upload leaves nothing that a sweep would not remove.
"""

import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from titan.store.contract import Fence

HEAD_BYTES = 16
"""How much of a file's beginning `look` tells: enough to know an image by its first bytes."""

PIECE_BYTES = 256 * 1024
"""Content is written and read in pieces of about this size: a few of them are all the memory that a file takes."""

_KEY = re.compile("[0-9a-f]{64}-[0-9a-f]{32}")


def new_key(sha256_hex: str) -> str:
    """Return a key for this content that was never used before."""
    return f"{sha256_hex}-{secrets.token_hex(16)}"


def is_key(text: str) -> bool:
    """Say whether a text has the form of a key; what has may safely become a part of a file's name."""
    return _KEY.fullmatch(text) is not None


def digest_of(key: str) -> str:
    """Return the SHA-256 that the content must have, in hexadecimal."""
    return key.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Blob:
    """A file as far as it is looked at without reading it."""

    size: int
    head: bytes
    """Its first `HEAD_BYTES`, or all of it."""


class Upload(Protocol):
    """A file on its way in."""

    async def write(self, data: bytes) -> None:
        """Take the next bytes; waits while the store is slower than they come."""
        ...

    async def finish(self) -> str:
        """Make the file last; return its key. To be called once, in the upload's block."""
        ...


class Blobs(Protocol):
    """The files of one store."""

    def upload(self) -> AbstractAsyncContextManager[Upload]:
        """Take a file; what is not finished at the block's end has never been."""
        ...

    async def look(self, key: str) -> Blob | None:
        """Say what is known of a file, None where there is none of that key."""
        ...

    def read(self, key: str) -> AsyncGenerator[bytes, None]:
        """Read a file from beginning to end. Raises `StoreUnavailable` where it is not there (any more)."""
        ...

    async def sweep(self, *, before_ms: int, fence: "Fence") -> int:
        """Remove files that no document names, named last before that wall time; return how many they were.

        A leader's work: raises `contract.Deposed` where the term is over, and then marks no further file for removal.
        An upload in progress is never removed, nor what a document begins to name meanwhile. May be broken off at any
        moment: the next sweep goes on.
        """
        ...
