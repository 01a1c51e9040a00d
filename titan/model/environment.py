"""An Environment cut into its identifiables and joined from them, never held as a whole (IDTA-01001, JSON).

An Environment has no size limit of its own: what a store exports may be many gigabytes, and memory here does not grow
with it but for some 30 bytes per identifiable. The text is read twice: `cut` looks at quotes and brackets only and says
where each identifiable lies, so that of a file that is broken as a whole nothing is taken; each piece is then read and
parsed by itself, exactly as if it were the body of a request.

Not promised: that the text inside a piece is JSON; its own parser says that.
"""

import re
from array import array
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from titan.model import strict_json
from titan.store.contract import Kind

SECTIONS: Final = {
    "assetAdministrationShells": Kind.SHELL,
    "submodels": Kind.SUBMODEL,
    "conceptDescriptions": Kind.CONCEPT_DESCRIPTION,
}
"""Members of an Environment, in the order in which the metamodel lists them."""

MODEL_TYPES: Final = {
    "AssetAdministrationShell": Kind.SHELL,
    "Submodel": Kind.SUBMODEL,
    "ConceptDescription": Kind.CONCEPT_DESCRIPTION,
}

MAX_PIECE_BYTES: Final = 64 * 1024 * 1024
"""One identifiable is parsed as a whole, at up to about twenty times its size in memory; this is the limit of that."""

_MAX_ENVELOPE_BYTES: Final = 64 * 1024 * 1024
"""What is left without the identifiables: brackets, commas and white space, a few bytes each."""

_READ_BYTES: Final = 1024 * 1024
_MARKS: Final = re.compile(rb'["\\{}\[\]]')
_PIECE_DEPTH: Final = 3  # { section: [ {
_QUOTE, _BACKSLASH, _BRACE, _CLOSING_BRACE = b'"\\{}'
_OPENING: Final = frozenset(b"{[")
_KINDS: Final = tuple(Kind)


class ByteSource(Protocol):
    """An open file that is read by position."""

    def read_at(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from `position` on; fewer only at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Malformed:
    """Why a file is no Environment and no identifiable; nothing of it may be taken."""

    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list as another server answered it (IDTA-01002: `paging_metadata` and `result`)."""

    items: tuple[bytes, ...]
    """Each as the bytes of its own JSON, not parsed yet."""
    cursor: str | None
    """Where the next page begins; None on the last one."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Where one identifiable lies in its file (bytes, end exclusive), and as what."""

    kind: Kind
    start: int
    end: int

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.end - self.start


class Pieces:
    """The identifiables of one file, in order, at 17 bytes each."""

    def __init__(self) -> None:
        self._starts = array("Q")
        self._ends = array("Q")
        self._kinds = array("B")

    def add(self, kind: Kind, start: int, end: int) -> None:
        """Append one."""
        self._starts.append(start)
        self._ends.append(end)
        self._kinds.append(_KINDS.index(kind))

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Piece]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> Piece:
        return Piece(_KINDS[self._kinds[number]], self._starts[number], self._ends[number])


class _Scanner:
    """Finds the objects at the depth of identifiables and keeps the text around them, each replaced by `null`."""

    def __init__(self) -> None:
        self.envelope = bytearray()
        self.starts = array("Q")
        self.ends = array("Q")
        self.depth = 0
        self._position = 0  # of the next byte to be fed
        self._in_string = False
        self._escaped = -1  # position of the character after a backslash
        self._in_piece = False

    def feed(self, chunk: bytes) -> Malformed | None:
        """Look at the next bytes of the file."""
        kept = 0  # up to here the chunk was copied to the envelope, or lies in a piece
        for at in self._brackets(chunk):
            if chunk[at] in _OPENING:
                self.depth += 1
                if self.depth == _PIECE_DEPTH and chunk[at] == _BRACE:
                    self._in_piece = True
                    self.starts.append(self._position + at)
                    self.envelope += chunk[kept:at]
            else:
                if self._in_piece and self.depth == _PIECE_DEPTH:
                    self._in_piece = False
                    self.ends.append(self._position + at + 1)
                    # What is closed by the wrong bracket keeps that one, which makes the envelope no JSON.
                    self.envelope += b"null" if chunk[at] == _CLOSING_BRACE else chunk[at : at + 1]
                    kept = at + 1
                self.depth -= 1
        if not self._in_piece:
            self.envelope += chunk[kept:]
        self._position += len(chunk)
        return self._bounds()

    def _brackets(self, chunk: bytes) -> Iterator[int]:
        """Yield where brackets stand that are no part of a string."""
        in_string = self._in_string  # locals: this loop is what cutting costs
        escaped = self._escaped - self._position
        for mark in _MARKS.finditer(chunk):
            at = mark.start()
            character = chunk[at]
            if in_string:
                if at == escaped:
                    continue
                if character == _BACKSLASH:
                    escaped = at + 1
                elif character == _QUOTE:
                    in_string = False
            elif character == _QUOTE:
                in_string = True
            elif character != _BACKSLASH:
                yield at
        self._in_string = in_string
        self._escaped = self._position + escaped

    def _bounds(self) -> Malformed | None:
        if len(self.envelope) > _MAX_ENVELOPE_BYTES:
            return Malformed(f"more than {_MAX_ENVELOPE_BYTES >> 20} MiB stand outside of any identifiable")
        if not self._in_piece and self.depth > strict_json.MAX_DEPTH:
            return Malformed(f"nested deeper than {strict_json.MAX_DEPTH} levels")
        return None


def cut(source: ByteSource) -> Pieces | Malformed:
    """Return where the identifiables of a file lie: those of an Environment, or the one that the file is."""
    scanner = _Scanner()
    position = 0
    while chunk := source.read_at(position, _READ_BYTES):
        if position == 0 and (fault := _encoding_fault(chunk)) is not None:
            return fault
        if (fault := scanner.feed(chunk)) is not None:
            return fault
        position += len(chunk)
    if position == 0:
        return Malformed("is empty")
    if scanner.depth > 0:
        return Malformed(f"ends in the middle: after {position} bytes {scanner.depth} brackets are still open")
    envelope = strict_json.parse(bytes(scanner.envelope))
    if isinstance(envelope, strict_json.JsonError):
        return Malformed(envelope.reason.replace("the body", "the file"))  # its place is not that in the file
    return _pieces(envelope, scanner, position)


def cut_listing(raw: bytes) -> Listing | Malformed:
    """Cut a page of a list into its items, so that what is wrong with one is that one's fault alone."""
    scanner = _Scanner()
    if (fault := _encoding_fault(raw) or scanner.feed(raw)) is not None:
        return fault
    if scanner.depth > 0:
        return Malformed("ends in the middle")
    envelope = strict_json.parse(bytes(scanner.envelope))
    if isinstance(envelope, strict_json.JsonError):
        return Malformed(envelope.reason)
    if not isinstance(envelope, dict) or not isinstance(envelope.get("result"), list):
        return Malformed("is no list of the API: an object with the member result is expected")
    if envelope["result"] != [None] * len(scanner.starts):
        return Malformed("has items that are no objects, or objects in other places than result")
    items = tuple([raw[start:end] for start, end in zip(scanner.starts, scanner.ends, strict=True)])
    paging = envelope.get("paging_metadata")
    cursor = paging.get("cursor") if isinstance(paging, dict) else None
    return Listing(items, cursor if isinstance(cursor, str) and cursor else None)


def _encoding_fault(head: bytes) -> Malformed | None:
    """Name the encodings that JSON does not have (RFC 8259, 8.1), because their parse errors explain nothing."""
    if head.startswith(b"\xef\xbb\xbf"):
        return Malformed("begins with a byte order mark, which JSON does not allow; save it as UTF-8 without one")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head[:4]:
        return Malformed("is not UTF-8; it looks like UTF-16 or UTF-32 or is no text at all")
    return None


def _pieces(envelope: Any, scanner: _Scanner, size: int) -> Pieces | Malformed:
    if not isinstance(envelope, dict):
        return Malformed("is no JSON object; an Environment or one identifiable is expected")
    pieces = Pieces()
    if "modelType" in envelope:
        kind = MODEL_TYPES.get(str(envelope["modelType"]))
        if kind is None:
            return Malformed(f"is a {envelope['modelType']}; an Environment or one identifiable is expected")
        pieces.add(kind, 0, size)
        return pieces
    bounds = zip(scanner.starts, scanner.ends, strict=True)
    for section, items in envelope.items():
        if section not in SECTIONS:
            return Malformed(f"has a member {section!r} that an Environment does not have")
        if not isinstance(items, list):
            return Malformed(f"{section} is no array")
        for item in items:
            start, end = next(bounds, (0, 0))
            if item is not None or end == 0:
                return Malformed(f"{section} has an item that is no object")
            pieces.add(SECTIONS[section], start, end)
    return pieces


async def join(documents: AsyncIterable[tuple[Kind, bytes]]) -> AsyncGenerator[bytes, None]:
    """Yield the text of an Environment that holds the documents; they must come in the order of SECTIONS by kind.

    A section without documents is left out, because the metamodel allows no empty ones. Each document stands on a line
    of its own.
    """
    names = {kind: section for section, kind in SECTIONS.items()}
    current: Kind | None = None
    async for kind, body in documents:
        if kind is current:
            yield b",\n"
        else:
            yield b'%b"%b":[\n' % (b"{" if current is None else b"\n],\n", names[kind].encode())
            current = kind
        yield body
    yield b"{}\n" if current is None else b"\n]}\n"
