"""Which transactions were visible at one moment, and cursors made of that.

A cursor is the snapshot whose changes its holder has seen: the next poll tells what is visible now and was not then,
whatever order transactions ended in, and however long a foreign one runs. Where that is more than one answer takes,
the cursor also holds the snapshot that is being told and the last revision told of it.

A snapshot lists the transactions that were under way. So that a cursor stays short, one with very many of them is
*coarsened*: cut off at the first transaction under way that does not fit, as if all from there on had not begun. What
is cut off is told a poll later, not twice and never passed over; each document's changes stay in order, because their
transactions were numbered under its lock (`writes`).
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

IDENTITY_BYTES = 8
NUMBER_MAX = (1 << 63) - 1
SNAPSHOT_MAX_BYTES = 64
"""Two of them, identity and revision make fewer than the contract's 200 characters."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Visible is what is below `xmax` and not in `xip`: transactions under way, ascending; `xmin` is the first one."""

    xmin: int
    xmax: int
    xip: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        """Read PostgreSQL's `xmin:xmax:xip,xip`."""
        xmin, xmax, xip = text.split(":")
        return cls(int(xmin), int(xmax), tuple(map(int, xip.split(","))) if xip else ())

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.xip))}"

    def sees(self, xid: int) -> bool:
        """Say whether a transaction that is committed by now was visible."""
        return xid < self.xmax and xid not in self.xip

    def cut_off(self, xmax: int) -> "Snapshot":
        """Return it as if all from that number on had not begun."""
        if xmax >= self.xmax:
            return self
        return Snapshot(min(self.xmin, xmax), xmax, tuple(xid for xid in self.xip if xid < xmax))

    def coarsened(self, max_bytes: int = SNAPSHOT_MAX_BYTES) -> "Snapshot":
        """Return a snapshot that sees no more than this one and packs into so many bytes."""
        snapshot = self
        kept = len(self.xip)
        while len(snapshot.pack()) > max_bytes:
            kept -= 1
            snapshot = self.cut_off(self.xip[kept])
        return snapshot

    def pack(self) -> bytes:
        """Return it in few bytes: differences, as the numbers are large and close to one another."""
        numbers = [self.xmin, self.xmax - self.xmin, len(self.xip)]
        before = self.xmin
        for xid in self.xip:
            numbers.append(xid - before)
            before = xid
        return b"".join(map(_pack, numbers))


FIRST = Snapshot(3, 3)
"""Sees nothing: 3 is the first number that a transaction can have."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """`seen` is what was told; with `telling`, of that snapshot everything up to `revision` too."""

    identity: bytes
    seen: Snapshot
    telling: Snapshot | None = None
    revision: int = 0

    def __str__(self) -> str:
        packed = self.identity + self.seen.pack()
        if self.telling is not None:
            packed += self.telling.pack() + _pack(self.revision)
        return _text(packed)

    def advance(
        self,
        identity: bytes,
        now: Snapshot,
        revisions: Sequence[int],
        limit: int,
        *,
        max_bytes: int = SNAPSHOT_MAX_BYTES,
    ) -> tuple[Snapshot, "Cursor"]:
        """Return the snapshot that is being told and the cursor behind the first `limit` changes that were found.

        `revisions` are those of the changes found, one more than `limit` where there are more. Of them those are told
        that the snapshot sees.
        """
        window = self.telling or now.coarsened(max_bytes)
        if len(revisions) > limit:
            return window, Cursor(identity, self.seen, window, revisions[limit - 1])
        return window, Cursor(identity, window)

    def behind_each(self, identity: bytes, window: Snapshot, revisions: Sequence[int]) -> Iterator[str]:
        """Return the cursor behind each of some changes that are told after this one from that snapshot."""
        head = identity + self.seen.pack() + window.pack()
        return (_text(head + _pack(revision)) for revision in revisions)

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        """Read a cursor, which may be anything that a client sent; None where it is none."""
        try:
            packed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            numbers = deque(_numbers(packed[IDENTITY_BYTES:]))
            seen = _take_snapshot(numbers)
            if numbers:
                telling, revision = _take_snapshot(numbers), numbers.popleft()
            else:
                telling, revision = None, 0
        except (ValueError, IndexError):
            return None
        cursor = cls(packed[:IDENTITY_BYTES], seen, telling, revision)
        return cursor if str(cursor) == text else None  # one spelling only


def _take_snapshot(numbers: deque[int]) -> Snapshot:
    xmin = numbers.popleft()
    xmax = xmin + numbers.popleft()
    xip = []
    last = xmin
    for _ in range(numbers.popleft()):
        last += numbers.popleft()
        xip.append(last)
    # What the server takes for a snapshot.
    if not (0 < xmin <= xmax <= NUMBER_MAX and xip == sorted(set(xip)) and (not xip or xip[-1] < xmax)):
        raise ValueError("no snapshot")
    return Snapshot(xmin, xmax, tuple(xip))


def _text(packed: bytes) -> str:
    return urlsafe_b64encode(packed).decode().rstrip("=")


def _pack(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    packed = bytearray()
    while number > 0x7F:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    packed.append(number)
    return bytes(packed)


def _numbers(packed: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            if number > NUMBER_MAX:
                raise ValueError("no number of 63 bits")
            yield number
            number = shift = 0
    if shift:
        raise ValueError("ends within a number")
