"""A leader's work on a store, done in a term of its own."""

from titan.store.contract import Fence, Store

ROLE = "cleanup-worker"


async def fence(store: Store, role: str = ROLE) -> Fence:
    """Begin a term."""
    return Fence(role, await store.begin_term(role, "test"))


async def swept(store: Store, *, before_ms: int) -> int:
    """Sweep the files; return how many went."""
    return await store.blobs.sweep(before_ms=before_ms, fence=await fence(store))


async def trimmed(store: Store, *, before_ms: int) -> int:
    """Trim the outbox; return how many rows went."""
    return await store.trim_changes(before_ms=before_ms, fence=await fence(store))
