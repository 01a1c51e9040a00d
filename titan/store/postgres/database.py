"""The database as this instance sees it: up or down, with the reason; its pool; operations with retries.

`connect`, `watch` and `use` run on the island; `down_because` and `statistics` may be read from anywhere. Whoever calls
`use` while it is down is told so at once.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar, TypeVarTuple

from titan.island import at_end, remaining_s
from titan.store.contract import OutcomeUnknown, StoreUnavailable
from titan.store.postgres.connector import Connector
from titan.store.postgres.errors import DRIVER_ERRORS, Trouble, Unreachable, as_contract, trouble, words
from titan.store.postgres.frozen import end_frozen
from titan.store.postgres.limits import Limits
from titan.store.postgres.pool import Pool, PoolStatistics
from titan.store.postgres.role import Primary, Role
from titan.store.postgres.session import Session
from titan.store.postgres.url import PostgresUrl

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

FAILURES = (Unreachable, *DRIVER_ERRORS)
"""What a look at the database may come to that is no bug."""

RETRIES = 3
"""How often a deadlock or a serialization failure is tried again, as long as there is time."""
RETRY_NEEDS_S = 0.05


class Database:
    """One database, in its role, and the connections to it; each spell of being up has a pool of its own."""

    def __init__(
        self,
        url: PostgresUrl,
        limits: Limits | None = None,
        *,
        role: Role | None = None,
        observe_wait: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`role` is by default that of a primary."""
        self.url = url
        self.limits = limits or Limits()
        self.down_because: str | None = "not connected yet"
        self.described = ""
        """What is at the other end, for people; empty before the first connection."""
        self.history = ""
        """Names the database and its history; empty before the first connection."""
        self._role = role or Primary()
        self._observe_wait = observe_wait
        self._spell: _Spell | None = None

    @property
    def statistics(self) -> PoolStatistics:
        """What the pool holds now."""
        spell = self._spell
        return PoolStatistics(self.limits.pool_size, 0, 0, 0) if spell is None else spell.pool.statistics

    @property
    def refused(self) -> str | None:
        """Why no further connection can be had while the others work; None where that is not so."""
        spell = self._spell
        return None if spell is None else spell.pool.refused

    async def connect(self) -> None:
        """Find a server that serves and be up. Raises `Unreachable`, or `SchemaUnfit` where that is no remedy."""
        self._spell = None  # one may be left whose thread died: it ended with that
        spell = _Spell(self.url, self.limits, self._role, self._observe_wait)
        try:
            await spell.begin()
        except BaseException:
            spell.end("not connected")
            raise
        self._spell = spell
        self.described = spell.described
        self.history = spell.history
        self.down_because = None

    async def watch(self) -> str:
        """Look after it for as long as it is up; return why it no longer is. Raises `SchemaUnfit`."""
        assert self._spell is not None
        return await self._spell.watch()

    async def disconnect(self, reason: str) -> None:
        """Be down: operations fail with `reason`, those that run too."""
        self.down_because = reason
        spell, self._spell = self._spell, None
        if spell is not None:
            spell.end(reason)

    def suspect(self) -> None:
        """Have it looked at now: somebody saw something that does not fit. To be called on the island."""
        if self._spell is not None:
            self._spell.doubt.set()

    async def use_apart(self, function: Callable[[Session, *Ts], Awaitable[T]], *args: *Ts) -> T:
        """Do the same on the connection that is kept apart from the pool, for what must not queue behind requests."""
        return await self._use(lambda spell: spell.apart, function, *args)

    async def use(self, function: Callable[[Session, *Ts], Awaitable[T]], *args: *Ts) -> T:
        """Run an operation on a session of its own. Raises what the contract has for errors; bugs as they are."""
        return await self._use(lambda spell: spell.pool, function, *args)

    async def _use(
        self, pool: "Callable[[_Spell], Pool]", function: Callable[[Session, *Ts], Awaitable[T]], *args: *Ts
    ) -> T:
        attempt = 0
        while True:
            spell = self._spell
            if spell is None:
                raise StoreUnavailable(f"the database is unavailable: {self.down_because}")
            try:
                async with pool(spell).session() as session:
                    return await function(session, *args)
            except Exception as error:
                what = trouble(error)
                if what in (Trouble.LOST, Trouble.READ_ONLY) or isinstance(error, OutcomeUnknown):
                    spell.doubt.set()
                if what is not Trouble.AGAIN or attempt == RETRIES or remaining_s() < RETRY_NEEDS_S:
                    if (expected := as_contract(error)) is None:
                        raise
                    raise expected from (None if expected is error else error)
            attempt += 1


class _Spell:
    """From one connect to the next loss."""

    def __init__(self, url: PostgresUrl, limits: Limits, role: Role, observe_wait: Callable[[float], None]) -> None:
        self._target = url.target
        self._limits = limits
        self._role = role
        self._connector = Connector(url, limits)
        self._probe: Session | None = None
        self.described = ""
        self.history = ""
        self._forget = at_end(lambda: self.end("the island ends"))
        self.pool = Pool(self._connector.connect, limits, observe_wait=observe_wait)
        self.apart = Pool(self._connector.connect, replace(limits, pool_size=1))
        self.doubt = asyncio.Event()
        """Set by an operation to whose connection something happened: it is looked at at once."""

    async def begin(self) -> None:
        self._probe = await self._connector.connect()
        self.described = self._probe.described
        try:
            await self._look()
            self.history = await self._role.begin(self._probe)
            await self._look()
        except (StoreUnavailable, *FAILURES) as error:
            raise Unreachable(words(error)) from error
        await self.pool.grow(self._limits.warm)

    def end(self, reason: str) -> None:
        self._forget()
        self.pool.close(reason)
        self.apart.close(reason)
        if self._probe is not None:
            self._probe.drop()

    async def watch(self) -> str:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.probe_every_s):
                    await self.doubt.wait()
            self.doubt.clear()
            try:
                await self._renew_probe()
                await self._look()
                await self._end_frozen()
                self.pool.sweep()
                self.apart.sweep()
                if self.pool.refused is not None:
                    await self.pool.grow(self.pool.statistics.open + 1)
            except FAILURES as error:
                return words(error)

    async def _renew_probe(self) -> None:
        assert self._probe is not None
        if self._probe.expires_at <= time.monotonic():
            self._probe.drop()
            self._probe = await self._connector.connect()

    async def _end_frozen(self) -> None:
        assert self._probe is not None
        if self._role.is_written:
            async with asyncio.timeout(self._limits.probe_s):
                await end_frozen(self._probe, self._limits.frozen_s)

    async def _look(self) -> None:
        """See that the server answers and is what it has to be."""
        assert self._probe is not None
        async with asyncio.timeout(self._limits.probe_s):
            await self._role.look(self._probe, self._target)
