"""What a supervisor waits for: messages from its children, and times.

The timers are data in the supervisor's own loop, not tasks that post messages: a timer that is cleared cannot fire
late, so no message of the past has to be recognised, and a child in back-off still delays nobody, because the loop
waits for whatever comes first.
"""

import math
from collections.abc import Hashable
from typing import Generic, TypeVar

import trio

M = TypeVar("M")
K = TypeVar("K", bound=Hashable)


class Inbox(Generic[M]):
    """Messages in order; posting never waits and never fails."""

    def __init__(self) -> None:
        self._messages: list[M] = []
        self._news = trio.Event()

    def post(self, message: M) -> None:
        """Add a message."""
        self._messages.append(message)
        self._news.set()

    def wake(self) -> None:
        """End a wait without a message: something that the reader looks at has changed."""
        self._news.set()

    async def wait_news(self) -> None:
        """Wait until there is a message, or `wake()` was called, since the last `take()`."""
        await self._news.wait()

    def take(self) -> list[M]:
        """Take all messages."""
        messages, self._messages, self._news = self._messages, [], trio.Event()
        return messages


class Timers(Generic[K]):
    """At most one time per key."""

    def __init__(self) -> None:
        self._times: dict[K, float] = {}

    def set(self, key: K, at: float) -> None:
        """Set, or move, the time of a key."""
        self._times[key] = at

    def clear(self, key: K) -> None:
        """Forget the time of a key, if it has one."""
        self._times.pop(key, None)

    def __contains__(self, key: K) -> bool:
        return key in self._times

    @property
    def earliest(self) -> float:
        """The time at which the next one is due; infinity without any."""
        return min(self._times.values(), default=math.inf)

    def take_due(self, now: float) -> list[K]:
        """Take the keys whose time has come, in the order of their times."""
        due = sorted((at, order, key) for order, (key, at) in enumerate(self._times.items()) if at <= now)
        for _, _, key in due:
            del self._times[key]
        return [key for _, _, key in due]
