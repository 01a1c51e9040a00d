"""What every store does alike with its own pages."""

from collections.abc import AsyncIterator

from titan.store.contract import Kind, Store, Stored


async def every(store: Store, kind: Kind, *, with_blobs: bool) -> AsyncIterator[Stored]:
    """Iterate over all documents of a kind, page by page, in order of creation (`Store.export`)."""
    after: int | None = 0
    while after is not None:
        page = await store.page(kind, after=after, with_blobs=with_blobs)
        for stored in page.items:
            yield stored
        after = page.next_after
