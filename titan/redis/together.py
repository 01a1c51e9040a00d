"""Several commands in one round trip."""

import asyncio
from collections.abc import Awaitable


async def together(*calls: Awaitable[object]) -> None:
    """Run calls of one `Redis.run` at the same time and wait for all; raise the first error there was, if any."""
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
