"""The election on Redis, as the operator's guide says: `SET leader:<role> <value> NX EX 30`.

`redis-cli GET leader:cleanup-worker` names the leader: the value starts with the instance's id. A release that is
asked for is noted behind the value, in the same key. Every script touches that one key and keeps its time to live, so
all of it works on a Cluster, and nothing stays that does not end by itself.
"""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

from titan.coordination.election import ElectionAway, Held
from titan.redis.client import Redis
from titan.redis.contract import Commands, RedisAway, RedisRefused, Script

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ASKED = " release-asked-for"
"""Follows the holder's value in the key once `ask` was called."""

_IS_OURS = f"local v = redis.call('GET', KEYS[1]); if v == ARGV[1] or v == ARGV[1] .. '{ASKED}' then"
_RENEW = Script(f"{_IS_OURS} return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0")
_RELEASE = Script(f"{_IS_OURS} return redis.call('DEL', KEYS[1]) end return 0")
_LOOK = Script("return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}")
_ASK = Script(f"""
local v = redis.call('GET', KEYS[1])
if not v then return 0 end
if v:sub(-{len(ASKED)}) ~= '{ASKED}' then redis.call('SET', KEYS[1], v .. '{ASKED}', 'KEEPTTL') end
return 1
""")


def key_of(role: str) -> str:
    """Return the key of a role's lease."""
    return f"leader:{role}"


class RedisElection:
    """See `titan.coordination.election.Election`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def acquire(self, role: str, holder: str, ttl_s: float) -> bool:
        """Take the lease if nobody has it."""
        return await self._asked(_acquire, key_of(role), holder, ttl_s)

    async def renew(self, role: str, holder: str, ttl_s: float) -> bool:
        """Have it end later."""
        return bool(await self._asked(_run, _RENEW, key_of(role), (holder, _ms(ttl_s))))

    async def release(self, role: str, holder: str) -> None:
        """Let go of it."""
        await self._asked(_run, _RELEASE, key_of(role), (holder,))

    async def look(self, role: str) -> Held | None:
        """Say who has it."""
        value, left_ms = await self._asked(_look, key_of(role))
        if value is None:
            return None
        holder = value.removesuffix(ASKED)
        # Set by hand without an end: it holds until somebody deletes it, which may be what was meant.
        left_s = math.inf if left_ms == -1 else left_ms / 1000
        return Held(holder, left_s, is_asked_for=holder != value)

    async def ask(self, role: str) -> bool:
        """Ask its holder to let go."""
        return bool(await self._asked(_run, _ASK, key_of(role), ()))

    async def clear(self, role: str) -> None:
        """Take it away."""
        await self._asked(_delete, key_of(role))

    async def _asked(self, question: Callable[[Commands, *Ts], Awaitable[T]], *args: *Ts) -> T:
        try:
            return await self._redis.run(question, *args)
        except (RedisAway, RedisRefused) as error:
            raise ElectionAway(error.reason) from error


async def _acquire(commands: Commands, key: str, holder: str, ttl_s: float) -> bool:
    # Whole seconds as the guide writes it; fractions are for tests.
    ends = ("EX", int(ttl_s)) if ttl_s == int(ttl_s) else ("PX", _ms(ttl_s))
    return await commands.execute_command("SET", key, holder, "NX", *ends) is not None


async def _run(commands: Commands, script: Script, key: str, args: tuple[str | int, ...]) -> int:
    return int(await commands.run_script(script, key, *args))


async def _look(commands: Commands, key: str) -> tuple[str | None, int]:
    value, left_ms = await commands.run_script(_LOOK, key)
    return None if value is None else value.decode("utf-8", "replace"), int(left_ms)


async def _delete(commands: Commands, key: str) -> None:
    await commands.execute_command("DEL", key)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
