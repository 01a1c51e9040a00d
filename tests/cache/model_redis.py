"""Redis as far as the caches go: values, a channel, and every way in which it may be of no use."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import trio

from tests.cache.model_postgres import Gates
from titan.cache import shared
from titan.redis.contract import RedisAway, RedisRefused, Script


@dataclass(slots=True)
class ModelRedis:
    """One server, and every instance's handle on it."""

    gates: Gates
    values: dict[str, bytes] = field(default_factory=dict)
    listeners: list[Callable[[bytes], object]] = field(default_factory=list)
    down_because: str | None = None
    is_full: bool = False
    is_deaf: bool = False
    """Nobody hears what is published."""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    async def run(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Run it at one moment; it may be slow before and after."""
        await trio.lowlevel.checkpoint()
        await self.gates.stop("redis before")
        if self.down_because is not None:
            raise RedisAway(self.down_because)
        coroutine = function(_Commands(self), *args)
        answer = self._loop.run_until_complete(coroutine)
        await self.gates.stop("redis after")
        if self.down_because is not None:  # done, but nobody knows
            raise RedisAway(self.down_because)
        return answer

    async def wait_until_up(self) -> None:
        """Return at once: nobody listens while it is away."""
        await trio.lowlevel.checkpoint()

    async def listen(self, _channel: str, on_message: Callable[[bytes], object]) -> NoReturn:
        """Listen, whatever happens."""
        self.listeners.append(on_message)
        await trio.sleep_forever()

    def change(self, which: int) -> None:
        """Be away or back, full or not, and heard or not."""
        self.down_because = "away" if which % 4 == 0 else None
        self.is_full, self.is_deaf = which // 4 % 3 == 0, which // 12 % 3 == 0

    def spoil(self, which: int) -> None:
        """Have something else under a key."""
        names = sorted(self.values)
        if names:
            self.values[names[which % len(names)]] = _SPOILT[which // len(names) % len(_SPOILT)]

    def close(self) -> None:
        """Give up what was opened."""
        self._loop.close()


_SPOILT = (b"", b"x", b"L 1 2 3\n", b"L " + b"9" * 60)


class _Commands:
    def __init__(self, redis: ModelRedis) -> None:
        self._redis = redis

    async def execute_command(self, name: str, key: str, *words: Any) -> Any:
        if name == "GET":
            return self._redis.values.get(key)
        assert name == "PUBLISH"
        if not self._redis.is_deaf:
            for listener in self._redis.listeners:
                listener(words[0])
        return len(self._redis.listeners)

    async def run_script(self, script: Script, key: str, value: bytes, _ttl_s: int) -> int:
        assert script is shared._SET_IF_NEWER
        if self._redis.is_full:
            raise RedisRefused("OOM")
        old = _numbers(self._redis.values.get(key, b""))
        if old is not None and old >= (_numbers(value) or (0, 0)):
            return 0
        self._redis.values[key] = value
        return 1


def _numbers(value: bytes) -> tuple[int, int] | None:
    try:
        return int(value[2:22]), int(value[23:43])
    except ValueError:
        return None
