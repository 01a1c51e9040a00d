"""The nodes of a cluster: each command goes to the node that has its key, wherever that was moved.

A cluster serves or it does not: one master that cannot be reached makes all of it away here, as it does in Redis' own
default (`cluster-require-full-coverage`), until its replica has taken over. Who is told of a node that is not connected
yet gets `RedisAway` for this one call and the prober connects: nobody else ever does.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions
from redis.crc import key_slot

from titan.redis.contract import RedisAway, Unreachable, Word
from titan.redis.dialing import Wire
from titan.redis.line import Line
from titan.redis.route import Lines, parse_info
from titan.redis.url import Address

SLOTS = 16_384
REDIRECTS = 3
"""A slot that is on the move is one or two redirections away."""

_WITH_SCRIPT = ("EVAL", "EVALSHA")


class ClusterRoute:
    """The route to all masters of a cluster."""

    def __init__(self, lines: Lines, addresses: Sequence[Address], on_doubt: Callable[[], None]) -> None:
        self._opener = lines
        self._from_url = tuple(addresses)
        self._seeds = deque(addresses)
        """The first one is asked next where no node is connected."""
        self._on_doubt = on_doubt
        self._lines: dict[Address, Line] = {}
        self._owners: list[Address | None] = [None] * SLOTS
        self._slots: object = None
        """The answer of which `_owners` was made."""
        self._named: set[Address] = set()
        """Nodes that others sent us to."""

    async def open(self) -> None:
        """See `Route`."""
        self._lines = {address: line for address, line in self._lines.items() if line.lost_because is None}
        if not self._lines:
            seed = self._seeds[0]
            self._seeds.rotate(-1)
            self._lines[seed] = await self._opener.open(seed)
        await self._follow()

    async def look(self) -> None:
        """See `Route`."""
        await asyncio.gather(*(self._opener.look(line) for line in self._lines.values()))
        await self._follow()

    async def _follow(self) -> None:
        """Ask who has what, connect whoever is missing, let go of the others."""
        self._read(*await self._newest_slots())
        wanted = {owner for owner in self._owners if owner is not None} | self._named
        for address in wanted:
            line = self._lines.get(address)
            if line is None or line.is_old or line.lost_because is not None:
                await self._connect(address)
                if line is not None:
                    line.retire()
        for address in self._lines.keys() - wanted:
            self._lines.pop(address).retire()

    async def _connect(self, address: Address) -> None:
        try:
            self._lines[address] = await self._opener.open(address)
        except Unreachable:
            self._named.discard(address)  # that it was named is no reason to be away for ever
            raise

    async def _newest_slots(self) -> tuple[Address, Any]:
        """Ask all nodes how the cluster is, and the one that knows the newest who has which slots."""
        lines = list(self._lines.items())
        infos = await asyncio.gather(*(self._opener.ask(line, "CLUSTER", "INFO") for _, line in lines))
        told = [parse_info(info) for info in infos]
        well = [
            (int(info.get(b"cluster_current_epoch", b"0")), number)
            for number, info in enumerate(told)
            if info.get(b"cluster_state") == b"ok"
        ]
        if not well:
            raise Unreachable(f"the cluster is down ({lines[0][0]})")
        address, line = lines[max(well)[1]]
        return address, await self._opener.ask(line, "CLUSTER", "SLOTS")

    def _read(self, asked: Address, slots: Any) -> None:
        if slots == self._slots:
            return
        self._owners = [None] * SLOTS
        for first, last, (host, port, *_), *_ in slots:
            owner = Address(host.decode() if host else asked.host, port)  # no host: the one that was asked
            self._owners[first : last + 1] = [owner] * (last + 1 - first)
        self._slots = slots

    async def ask(self, *command: Word) -> Any:
        """See `Route`."""
        slot = _slot(command)
        address = next(iter(self._lines), None) if slot is None else self._owners[slot]
        is_asking = False
        for _ in range(REDIRECTS):
            line = self._line(address)
            try:
                if not is_asking:
                    return await line.ask(*command)
                _, answer = await asyncio.gather(line.ask("ASKING"), line.ask(*command))
            except exceptions.AskError as error:  # MOVED is one too
                assert slot is not None
                is_asking = not isinstance(error, exceptions.MovedError)
                address = Address(error.host or _host(address), error.port)
                if not is_asking:
                    self._owners[slot] = address
                    self._slots = None  # the table is not what it was made of any more
                    self._on_doubt()
            else:
                return answer
        raise RedisAway("the slot is on the move")

    def _line(self, address: Address | None) -> Line:
        if address is None:
            raise RedisAway("no node has the slot")
        line = self._lines.get(address)
        if line is None:
            self._named.add(address)
            self._on_doubt()
            raise RedisAway(f"not connected yet ({address})")
        return line

    async def everywhere(self, *command: Word) -> Sequence[Any]:
        """See `Route`."""
        return await asyncio.gather(*(line.ask(*command) for line in self._lines.values()))

    async def dial(self) -> Wire:
        """See `Route`: nodes tell each other what is published."""
        address = next(iter(self._lines), None)
        if address is None:
            raise Unreachable("not connected")
        return await self._opener.dialer.dial(address)

    def close(self, reason: str) -> None:
        """See `Route`."""
        lines, self._lines = self._lines, {}
        known = dict.fromkeys(sorted(lines, key=lambda address: lines[address].is_suspect))
        self._seeds = deque(known | dict.fromkeys(self._from_url))
        self._named.clear()
        for line in lines.values():
            line.close(reason)

    end = close


def _slot(command: Sequence[Word]) -> int | None:
    """Return where a command's key is; None: it has no key, any node will do."""
    position = 3 if command[0] in _WITH_SCRIPT else 1
    if len(command) <= position:
        return None
    key = command[position]
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


def _host(address: Address | None) -> str:
    assert address is not None
    return address.host
