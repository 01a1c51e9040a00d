"""Clients that come and go, a feed that loses its place, transactions that end late, a store that is away: no gap."""

import random
from collections import defaultdict

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.support.event_desk import Desk, desk
from tests.support.outbox import Outbox
from titan.events import stream
from titan.events.stream import OLDEST, End, Refused
from titan.store.contract import StoreUnavailable

STEPS = 400


class Client:
    """Follows one of the instances, and comes back to any of them."""

    def __init__(self, desks: list[Desk], rng: random.Random) -> None:
        self.heard: list[tuple[str, int]] = []
        self._desks = desks
        self._rng = rng

    async def follow(self) -> None:
        cursor = OLDEST
        while True:
            opened = await self._open(cursor)
            for _ in range(self._rng.randint(1, 30)):
                told = await opened.next()
                if isinstance(told, End):
                    break
                self.heard += [(event.change.id, event.change.revision) for event in told.events]
                await trio.sleep(self._rng.choice((0, 0, 0.3)))
            cursor = opened.cursor
            opened.close()

    async def _open(self, cursor: str):
        while True:
            try:
                opened = await self._rng.choice(self._desks).streams.open(lambda _: True, cursor)
            except StoreUnavailable:
                await trio.sleep(0.1)
            else:
                assert not isinstance(opened, Refused), opened
                return opened


class World:
    """What happens besides."""

    def __init__(self, outbox: Outbox, desks: list[Desk], rng: random.Random) -> None:
        self.outbox, self._desks, self._rng = outbox, desks, rng
        self._open: list[tuple[str, int]] = []

    async def step(self) -> None:
        await trio.sleep(self._rng.choice((0, 0.05, 0.2)))
        match self._rng.randint(0, 9):
            case 0 | 1 | 2 | 3:
                self._write()
            case 4:
                self._commit()
            case 5 | 6 | 7:
                await self._polled(self._rng.choice(self._desks))
            case 8:
                self.outbox.away = self._rng.choice(("", "", "away"))
            case _:
                await self._begun(self._rng.choice(self._desks))

    def _write(self) -> None:
        document_id = f"doc{self._rng.randint(0, 3)}"
        if all(document_id != other for other, _ in self._open):  # whose lock is held
            number = self.outbox.begin(document_id)
            self._open.append((document_id, number))
            if self._rng.random() < 0.7:
                self._commit()

    def _commit(self) -> None:
        if self._open:
            _, number = self._open.pop(self._rng.randrange(len(self._open)))
            self.outbox.commit(number)

    async def _polled(self, at: Desk) -> None:
        if not self.outbox.away:
            await at.poll(limit=self._rng.choice((1, 3, 1000)))

    async def _begun(self, at: Desk) -> None:
        if not self.outbox.away:
            await at.begin()

    async def settle(self) -> None:
        """Let all be well, and everybody hear of everything."""
        self.outbox.away = ""
        while self._open:
            self._commit()
        for _ in range(20):
            for each in self._desks:
                await each.poll()
            await trio.sleep(5)
            await wait_all_tasks_blocked()


@pytest.mark.parametrize("seed", range(40))
async def test_every_client_hears_every_change_and_each_documents_in_order(autojump_clock, monkeypatch, seed):
    monkeypatch.setattr(stream, "PAGE", 3)
    rng = random.Random(seed)
    outbox = Outbox()
    outbox.answers_after_s = lambda: rng.choice((0, 0, 0.1, 0.5))
    async with desk(outbox) as one, desk(outbox) as two, trio.open_nursery() as nursery:
        world = World(outbox, [one, two], rng)
        clients = [Client([one, two], rng) for _ in range(4)]
        for client in clients:
            nursery.start_soon(client.follow)
        for _ in range(STEPS):
            await world.step()
        await world.settle()
        nursery.cancel_scope.cancel()
    expected = outbox.all()
    assert len(expected) > 20
    for client in clients:
        assert set(client.heard) == expected
        by_document: defaultdict[str, list[int]] = defaultdict(list)
        for document_id, revision in dict.fromkeys(client.heard):
            by_document[document_id].append(revision)
        assert all(revisions == sorted(revisions) for revisions in by_document.values())
