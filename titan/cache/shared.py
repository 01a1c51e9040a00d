"""L2: documents in Redis, shared by all instances. What is read from it is judged by the reader's own tail.

Not promised: that anything is there, or that it is right: Redis may be flushed, evict, fail over to a replica that
lacks the newest, or hold what somebody else wrote. So an entry says at which revision it is and which mark was shown
when it was read, and is used only where the tail knows every change since (`Tail.stands`). No answer, a refusal or
bytes that are no entry are a miss.

An entry gives way only to a newer one, by a script; a deletion leaves a tombstone for some minutes, which keeps slow
readers from bringing back what they read before. Keys name the history, so that none survives a restore or promotion:
`titan:cache:1:<history>:<document>:<variant>`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import trio

from titan.redis.client import Redis
from titan.redis.contract import Commands, RedisAway, RedisRefused, Script
from titan.redis.together import together
from titan.store.contract import Stored

PREFIX = "titan:cache:1:"
"""The number is the format's: another format has other keys."""

TOMBSTONE_S = 300
"""Longer than any reader takes between its read and its fill."""

LARGEST_BYTES = 1 << 20
"""A larger document would hold up everybody's commands on the one connection."""

WAITING = 512
"""Fills that wait to be sent; further ones are dropped."""

AT_ONCE = 32

WRITE_S = 0.3
"""How long a writer that has committed lets this take: readers learn of its write without it, up to a second later."""

REFUSED_S = 60.0
"""How long until a user that may not listen asks again whether it may."""

CHANNEL = f"{PREFIX}changed"
"""Where instances say that something changed; what is said there is the mark, for people who look."""

_ENTRY = re.compile(rb"([LD]) (\d{20}) (\d{20}) (\d{1,20}) (\d{1,20}) (\d{1,5}) (\d{1,8})\n")

# A value of another type is overwritten like one of no known form. Numbers are below 2^53, which Lua's keep exactly.
_SET_IF_NEWER = Script("""
local old = redis.pcall('GET', KEYS[1])
if type(old) == 'string' then
  local revision, shown = tonumber(string.sub(old, 3, 22)), tonumber(string.sub(old, 24, 43))
  local new_revision, new_shown = tonumber(string.sub(ARGV[1], 3, 22)), tonumber(string.sub(ARGV[1], 24, 43))
  if revision and shown and (revision > new_revision or revision == new_revision and shown >= new_shown) then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
""")


@dataclass(frozen=True, slots=True)
class Entry:
    """A document as somebody read it, when `shown` was the highest mark shown."""

    stored: Stored
    shown: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands: which history, which document, with Blob values or not."""

    history: str
    key: bytes
    with_blobs: bool

    @property
    def name(self) -> str:
        """Its key in Redis."""
        return f"{PREFIX}{self.history}:{self.key.hex()}:{'full' if self.with_blobs else 'plain'}"


class Shared:
    """The entries in Redis; calls wait for one round trip at most, and for nothing while Redis is away."""

    def __init__(self, redis: Redis, ttl_s: int) -> None:
        self._redis = redis
        self._ttl_s = ttl_s
        self._fills, self._waiting = trio.open_memory_channel[tuple[str, bytes]](WAITING)
        self.dropped = 0
        """Fills that were not sent, for want of room or because Redis was away."""

    @property
    def is_away(self) -> bool:
        """Say whether there is no use in asking."""
        return self._redis.down_because is not None

    async def get(self, place: Place, document_id: str) -> Entry | None:
        """Return what is there, None where that is nothing of use. Raises `RedisAway`."""
        try:
            value = await self._redis.run(_get, place.name)
        except RedisRefused:
            return None
        return _decoded(value, document_id) if isinstance(value, bytes) else None

    def offer(self, place: Place, entry: Entry) -> None:
        """Have an entry stored soon, unless there is a newer one; never waits, may be dropped."""
        if len(entry.stored.body) > LARGEST_BYTES or self.is_away:
            return
        try:
            self._fills.send_nowait((place.name, _encoded(entry)))
        except trio.WouldBlock:
            self.dropped += 1

    async def fill(self) -> NoReturn:
        """Send what was offered, until cancelled."""
        while True:
            batch = [await self._waiting.receive()]
            while len(batch) < AT_ONCE:
                try:
                    batch.append(self._waiting.receive_nowait())
                except trio.WouldBlock:
                    break
            try:
                await self._redis.run(_set_all, batch, self._ttl_s)
            except (RedisAway, RedisRefused):  # no memory left, say: then there is no cache
                self.dropped += len(batch)

    async def wrote(self, place: Place, entry: Entry) -> None:
        """Tell of a write that is committed: store it, and have every instance ask what changed. Takes a moment only.

        A caller who is cancelled meanwhile is so after this: the write is done, and this is a part of it.
        """
        value = _encoded(entry) if len(entry.stored.body) <= LARGEST_BYTES else _tombstone(entry.stored, entry.shown)
        await self._tell(place, value, self._ttl_s, entry.stored.mark)

    async def deleted(self, place: Place, document_id: str, revision: int, mark: int) -> None:
        """Tell of a deletion that is committed, likewise."""
        stored = Stored(document_id, revision, 0, b"", mark)
        await self._tell(place, _tombstone(stored, mark), TOMBSTONE_S, mark)

    async def _tell(self, place: Place, value: bytes, ttl_s: int, mark: int) -> None:
        if self.is_away:
            return
        with trio.move_on_after(WRITE_S, shield=True):
            try:
                await self._redis.run(_set_and_poke, place.name, value, ttl_s, str(mark))
            except (RedisAway, RedisRefused):
                return  # readers learn of it from the feed

    async def listen(self, on_poke: Callable[[], object]) -> NoReturn:
        """Call `on_poke` whenever an instance says that something changed, until cancelled."""
        while True:
            await self._redis.wait_until_up()
            try:
                await self._redis.listen(CHANNEL, lambda _: on_poke())
            except RedisAway:
                continue  # it will be up again
            except RedisRefused:
                await trio.sleep(REFUSED_S)


async def _get(commands: Commands, name: str) -> object:
    return await commands.execute_command("GET", name)


async def _set_all(commands: Commands, batch: Sequence[tuple[str, bytes]], ttl_s: int) -> None:
    await together(*(commands.run_script(_SET_IF_NEWER, name, value, ttl_s) for name, value in batch))


async def _set_and_poke(commands: Commands, name: str, value: bytes, ttl_s: int, word: str) -> None:
    await together(
        commands.run_script(_SET_IF_NEWER, name, value, ttl_s), commands.execute_command("PUBLISH", CHANNEL, word)
    )


def _encoded(entry: Entry, kind: bytes = b"L") -> bytes:
    stored = entry.stored
    document_id = stored.id.encode()
    head = b"%b %020d %020d %d %d %d %d\n" % (
        kind,
        stored.revision,
        entry.shown,
        stored.mark,
        stored.modified_ms,
        len(document_id),
        len(stored.body),
    )
    return b"".join((head, document_id, stored.body))


def _tombstone(stored: Stored, shown: int) -> bytes:
    return _encoded(Entry(Stored(stored.id, stored.revision, 0, b"", stored.mark), shown), b"D")


def _decoded(value: bytes, document_id: str) -> Entry | None:
    match = _ENTRY.match(value)
    if match is None or match[1] == b"D":
        return None
    revision, shown, mark, modified_ms, id_bytes, body_bytes = map(int, match.groups()[1:])
    body_at = match.end() + id_bytes
    if value[match.end() : body_at] != document_id.encode() or len(value) != body_at + body_bytes:
        return None
    return Entry(Stored(document_id, revision, modified_ms, value[body_at:], mark), shown)
