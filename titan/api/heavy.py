"""Work on large documents happens beside the loop, so that no client waits for another one's megabytes."""

from collections.abc import Callable
from typing import TypeVar

import trio

from titan.api.services import Services

INLINE_MAX_BYTES = 64 * 1024
"""Up to here parsing and verifying takes the loop less than 5 ms; a thread would cost more than it saves."""

T = TypeVar("T")


async def run(services: Services, size: int, work: Callable[[], T]) -> T:
    """Run `work`, whose cost grows with `size` in bytes, here or in a thread. Not abandoned when cancelled."""
    if size <= INLINE_MAX_BYTES:
        return work()
    return await trio.to_thread.run_sync(work, limiter=services.heavy)
