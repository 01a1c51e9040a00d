"""Instances with their real caches, tails and feeds over a modelled PostgreSQL and Redis, and a judge of their reads.

Everything runs under trio's mock clock: time passes when the test says so, and whoever may stop does so until it is
let go on. The judge knows when each document was what, and says of every read whether it may have shown that.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, cast

import trio
from trio.testing import MockClock

from supervisors.actors.change_feed import ChangeFeedActor
from supervisors.kernel import Context
from tests.cache.model_postgres import KIND_USED, PLAN, Gates, Link, ModelPostgres, Plan, Version
from tests.cache.model_redis import ModelRedis
from titan.api.session import Session, Token
from titan.cache.memory import ENTRY_BYTES, Memory
from titan.cache.shared import Shared
from titan.cache.store import CoherentStore
from titan.cache.tail import BOUND_S, Tail
from titan.store.contract import (
    NEWEST,
    RECENT,
    Created,
    Deleted,
    Document,
    Found,
    Idempotency,
    Need,
    Replaced,
    StoreUnavailable,
    WriteMode,
)
from titan.telemetry.health import Check

ROOM = 2
"""Documents that an instance's memory has room for."""
KEPT = 3
"""Changes that a tail remembers: few, so that it forgets some."""


class Wrong(AssertionError):
    """A read showed what it must not."""


@dataclass(frozen=True, slots=True)
class State:
    """What a document was from a moment on; `number` orders what happens at one time."""

    since_s: float
    number: int
    revision: int | None
    body: bytes | None


@dataclass(slots=True)
class Judge:
    """The states of every document, in order."""

    numbers: int = 0
    states: dict[str, list[State]] = field(
        default_factory=lambda: defaultdict(lambda: [State(-1e9, -1, None, None)])  # from the beginning: nothing
    )

    def set(self, document_id: str, version: Version | None) -> None:
        """Take in what a document is now."""
        self.numbers += 1
        revision, body = (None, None) if version is None else (version.revision, version.body)
        self.states[document_id].append(State(trio.current_time(), self.numbers, revision, body))

    def judge(self, read: "Read", found: Found, *, at_least: int) -> int:
        """Return which state was shown, the first that is not before `at_least`; raise `Wrong` where none may be."""
        states = self.states[read.document_id]
        shown = (None, None) if found.stored is None else (found.stored.revision, found.stored.body)
        why = "is nothing that was ever there, or too early for its session"
        for index, state in enumerate(states):
            if (state.revision, state.body) != shown or index < at_least:
                continue
            over = states[index + 1] if index + 1 < len(states) else None
            if over is not None and read.need.is_newest and over.number <= read.number:
                why = "was replaced before a read began that wanted the newest"
            elif over is not None and over.since_s < read.begun_s - BOUND_S:
                why = f"was replaced {read.begun_s - over.since_s:.3f} s before the read began"
            else:
                return index
        raise Wrong(f"{shown} {why}: {read}, {at_least=}, {states}")


@dataclass(frozen=True, slots=True)
class Read:
    """A read that is under way."""

    instance: int
    document_id: str
    need: Need
    begun_s: float
    number: int


@dataclass(slots=True)
class Client:
    """A session, which does one thing at a time."""

    token: Token | None = None
    seen: Counter[str] = field(default_factory=Counter)
    is_busy: bool = False

    def keep(self, history: str, mark: int) -> None:
        """Keep the token of an answer."""
        text = Session(self.token).headers(history, mark)[0][1]
        self.token = Token(text.split(".")[0], int(text.split(".")[1], 16))


class _Store(CoherentStore):
    def __init__(self, link: Link, tail: Tail, memory: Memory, shared: Shared) -> None:
        super().__init__(cast(Any, None), cast(Any, None), tail, memory, shared)
        self._link = link

    @property
    def history(self) -> str:
        return self._link.history

    async def _use(self, function: Any, *args: Any) -> Any:  # type: ignore[override]
        return await self._link.use(function, args)


class Instance:
    """One of them."""

    def __init__(self, postgres: ModelPostgres, redis: ModelRedis) -> None:
        self.memory = Memory(ROOM * (ENTRY_BYTES + 100))
        self.tail = Tail(on_named=self.memory.named, on_begin=self.memory.clear, kept=KEPT, clock=trio.current_time)
        self.shared = Shared(cast(Any, redis), 60)
        self.link = Link(postgres)
        self.store = _Store(self.link, self.tail, self.memory, self.shared)
        self.feed = ChangeFeedActor(self.store, self.tail, Check("change_feed"), listen=self.shared.listen)
        self.feed_plan = Plan()

    async def run(self) -> None:
        """Be it."""
        await self.link.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.shared.fill)
            nursery.start_soon(self._follow)

    async def _follow(self) -> None:
        PLAN.set(self.feed_plan)
        await self.feed.run(Context("change_feed", None, lambda _: None))


class World:
    """All of it, inside trio."""

    def __init__(self, nursery: trio.Nursery, clock: MockClock, instances: int, clients: int) -> None:
        PLAN.set(Plan())
        self.nursery = nursery
        self.clock = clock
        self.judge = Judge()
        self.postgres = ModelPostgres(self.judge.set)
        self.redis = ModelRedis(self.postgres.gates)
        self.instances = [Instance(self.postgres, self.redis) for _ in range(instances)]
        self.clients = [Client() for _ in range(clients)]
        self.foreign: list[int] = []
        self.wrong: list[Wrong] = []
        self._numbers = 0
        for instance in self.instances:
            nursery.start_soon(instance.run)

    @property
    def gates(self) -> Gates:
        return self.postgres.gates

    def read(self, number: int, document_id: str, plan: Plan, *, client: int | None, newest: bool) -> None:
        """Begin to read; of a client only if it is not busy."""
        who = None if client is None else self.clients[client]
        if who is None or not who.is_busy:
            self.nursery.start_soon(self._read, number, document_id, plan, who, newest)

    async def _read(self, number: int, document_id: str, plan: Plan, client: Client | None, newest: bool) -> None:  # noqa: FBT001
        PLAN.set(plan)
        store = self.instances[number].store
        need = NEWEST if newest else RECENT if client is None else Session(client.token).need(store.history)
        read = Read(number, document_id, need, trio.current_time(), self.judge.numbers)
        if client is not None:
            client.is_busy = True
        try:
            found = await store.find(KIND_USED, document_id, need=need)
            index = self.judge.judge(read, found, at_least=0 if client is None else client.seen[document_id])
        except StoreUnavailable:
            return
        except Wrong as wrong:
            self.wrong.append(wrong)
            return
        finally:
            if client is not None:
                client.is_busy = False
        if client is not None:
            client.seen[document_id] = index
            client.keep(store.history, found.mark)

    def write(self, number: int, document_id: str, plan: Plan, *, client: int | None, deletes: bool) -> None:
        """Begin to write; of a client only if it is not busy."""
        who = None if client is None else self.clients[client]
        if who is None or not who.is_busy:
            self.nursery.start_soon(self._write, number, document_id, plan, who, deletes)

    async def _write(self, number: int, document_id: str, plan: Plan, client: Client | None, deletes: bool) -> None:  # noqa: FBT001
        PLAN.set(plan)
        store = self.instances[number].store
        if client is not None:
            client.is_busy = True
        self._numbers += 1
        body = b'{"number":%d}' % self._numbers
        key = Idempotency(body, body) if plan.loses_answer else None
        try:
            if deletes:
                outcome = await store.delete(KIND_USED, document_id)
            else:
                outcome = await store.write(Document(KIND_USED, document_id, body), WriteMode.PUT, idempotency=key)
        except StoreUnavailable:
            return
        finally:
            if client is not None:
                client.is_busy = False
        if client is None:
            return
        client.keep(store.history, outcome.mark)
        if isinstance(outcome, Created | Replaced | Deleted):
            self._has_written(client, document_id, body, deletes=isinstance(outcome, Deleted))

    def _has_written(self, client: Client, document_id: str, body: bytes, *, deletes: bool) -> None:
        for index, state in enumerate(self.judge.states[document_id]):
            if not deletes and state.body == body:
                client.seen[document_id] = max(client.seen[document_id], index)

    def promote(self, lost: int) -> None:
        """Have a standby take over; every instance's connections are lost."""
        for instance in self.instances:
            instance.link.lose()
        self.postgres.promote(lost)
        self.foreign.clear()
        self.gates.open_all()

    def crash(self) -> None:
        """Have the server die and come back; every instance's connections are lost."""
        for instance in self.instances:
            instance.link.lose()
        self.postgres.crash()
        self.foreign.clear()
        self.gates.open_all()

    def connect(self, number: int) -> None:
        """Have an instance find the server again."""
        if not self.instances[number].link.is_up:
            self.nursery.start_soon(self.instances[number].link.connect)

    @property
    def is_cut_off(self) -> bool:
        """Say whether an instance has to connect."""
        return not all(instance.link.is_up for instance in self.instances)

    def foreign_transaction(self, which: int) -> None:
        """Begin a transaction that changes no document, or end one."""
        if which % 2 and self.foreign:
            self.postgres.end(self.foreign.pop(which // 2 % len(self.foreign)))
        else:
            self.foreign.append(self.postgres.begin())

    def begin_feed_anew(self, which: int) -> None:
        """Have a feed forget where it was, as where its actor was restarted."""
        self.instances[which % len(self.instances)].feed._cursor = None

    def evict(self, which: int) -> None:
        """Have an instance's memory forget."""
        self.instances[which % len(self.instances)].memory.clear()

    def heal(self) -> None:
        """Have everything well again and let everybody go on."""
        for number, instance in enumerate(self.instances):
            instance.feed_plan.stops = frozenset()
            self.connect(number)
        self.redis.down_because, self.redis.is_full = None, False
        self.gates.open_all()
