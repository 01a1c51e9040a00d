"""What is known of other servers' documents, kept beside the documents: what every store promises for it.

Not promised: that a record and the document it is about are written in one transaction. A record that says "about to
be created" (`revision` 0) comes before the document, so that a pull which dies in between never takes a document of its
own for somebody else's.

Promised: what `note` was told is there or not at all, and the place with it; it lasts as documents do. A note by a
leader that was deposed changes nothing and raises `Deposed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from titan.store.contract import Fence, Kind

SYNC_RECORDS_KEPT_S = 30 * 24 * 3600
"""How long the records of a source outlive the last begin of a pull: it was taken out of the settings."""


@dataclass(frozen=True, slots=True)
class Followed:
    """One document of a source, as it was last seen there and dealt with here."""

    kind: Kind
    id: str
    etag: str | None = None
    """The other server's entity tag for that content; None where it gave none."""
    digest: bytes | None = None
    """Of the content there (`titan.sync.content`); None: not seen yet."""
    gave_way: bytes | None = None
    """Of the content here that was replaced by it last."""
    revision: int = 0
    """Of the document here after it was dealt with; 0: there was none."""
    is_copy: bool = False
    """True: a pull created it here, so it goes when it is gone there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which page a pull has to look at next."""

    kind: Kind
    by: str
    """Which of the other server's lists the cursor belongs to."""
    cursor: str | None = None
    is_listed: bool = False
    """True: the list of this kind was read to its end; what it did not show is to be looked after."""


class SyncRecords(Protocol):
    """The records of all sources. Errors and cancellation are as in `titan.store.contract.Store`."""

    async def begin(self, source: str, *, origin: bytes, scope: bytes, fence: Fence) -> Place | None:
        """Begin a pull or go on; return where the last one was cut off, None where it was not.

        Another `origin` than last time is another server under the old name: its records are forgotten. With another
        `scope` the place is.
        """
        ...

    async def look(self, source: str, kind: Kind, ids: Sequence[str]) -> Sequence[Followed]:
        """Return what is known of these documents, in no particular order."""
        ...

    async def followed(self, source: str, kind: Kind, *, after: str | None, limit: int) -> Sequence[Followed]:
        """Return up to `limit` records of a kind behind that of the id `after`, in an order of the store's own."""
        ...

    async def note(
        self,
        source: str,
        kind: Kind,
        records: Sequence[Followed],
        *,
        forget: Sequence[str] = (),
        place: Place | None = None,
        fence: Fence,
    ) -> None:
        """Keep records, forget those of the ids `forget`, and keep the place if one is given, all at once."""
        ...

    async def finish(self, source: str, *, fence: Fence) -> None:
        """Note that a pull came to its end: the next one begins anew."""
        ...
