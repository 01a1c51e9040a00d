"""Work on large documents happens beside the loop, so that no client waits for another one's megabytes.

A thread shares the interpreter with the loop: what is one call into C holds it from begin to end. The longest such call
is parsing, 5 ms a MiB, so at the limit of 8 MiB the loop may stand still for 40 ms; up to 3 MiB it is less than 20.
"""

import gc
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
    return await trio.to_thread.run_sync(_uncollected, work, limiter=services.heavy)


def _uncollected(work: Callable[[], T]) -> T:
    """Run `work` without the cycle collector.

    It would walk the growing document again and again, each time holding the interpreter (measured at 8 MiB: twice the
    time in all, and the loop standing still for up to 0.7 s). There are no cycles in what is made here.
    """
    if not gc.isenabled():  # by another one of these: it will switch it on again
        return work()
    gc.disable()
    try:
        return work()
    finally:
        gc.enable()
