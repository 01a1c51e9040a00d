"""One file at a time, its identifiables one by one, each as the bytes of its own JSON; what cannot be read is named."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path

import orjson

from titan.cli.transfer.files import Found, OpenFile, Unreadable, open_file
from titan.model.environment import MAX_PIECE_BYTES, Malformed, Piece, Pieces, cut


@dataclass(frozen=True, slots=True)
class RejectedFile:
    """A file that nothing can be made of."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class RejectedItem:
    """One identifiable of a file that cannot be read, while others may."""

    path: Path
    piece: Piece
    reason: str


@dataclass(frozen=True, slots=True)
class Item:
    """One identifiable as it stands in its file."""

    path: Path
    number: int
    """Which one of its file, from 0."""
    piece: Piece
    raw: bytes


class Source:
    """An open file, cut into its identifiables."""

    def __init__(self, path: Path, file: OpenFile, pieces: Pieces) -> None:
        self.path = path
        self.pieces = pieces
        self._file = file

    def __iter__(self) -> Iterator[Item | RejectedItem]:
        return map(self.read, range(len(self.pieces)))

    def read(self, number: int) -> Item | RejectedItem:
        """Read one of the pieces."""
        piece = self.pieces[number]
        if piece.size > MAX_PIECE_BYTES:
            return RejectedItem(self.path, piece, f"has {piece.size} bytes, allowed are {MAX_PIECE_BYTES}")
        try:
            raw = self._file.read_at(piece.start, piece.size)
        except OSError as error:
            return RejectedItem(self.path, piece, f"cannot be read: {error.strerror}")
        return Item(self.path, number, piece, raw)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_source(found: Found) -> Source | RejectedFile:
    """Open and cut a file. It reads the whole of it once, in constant memory but for some bytes per identifiable."""
    if isinstance(found, Unreadable):
        return RejectedFile(found.path, found.reason)
    file = open_file(found.path)
    if isinstance(file, str):
        return RejectedFile(found.path, file)
    pieces: Pieces | Malformed
    try:
        pieces = cut(file)
    except OSError as error:
        pieces = Malformed(f"cannot be read: {error.strerror}")
    if isinstance(pieces, Malformed):
        file.close()
        return RejectedFile(found.path, pieces.reason)
    return Source(found.path, file, pieces)


class Repeat(StrEnum):
    """How a document stands to an earlier one of the same id in the same file."""

    SAME = "given twice in this file, with the same content"
    OTHER = "given twice in this file, with other content; the first one counts"


class Repeats:
    """Finds the ids that a file gives more than once; about a hundred bytes for each id."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._first: dict[int, int] = {}  # digest of kind and id: number of the document

    def judge(self, item: Item, document_id: str) -> Repeat | None:
        """Compare the document with the first one of its id in this file; None where it is the first."""
        subject = f"{item.piece.kind} {document_id}".encode()
        # The id is at hand in the file itself; what is kept of it need only lead there (128 bits do not collide).
        digest = int.from_bytes(blake2b(subject, digest_size=16).digest())
        first = self._first.setdefault(digest, item.number)
        if first == item.number:
            return None
        before = self._source.read(first)
        same = isinstance(before, Item) and same_content(before.raw, item.raw)
        return Repeat.SAME if same else Repeat.OTHER


def same_content(one: bytes, other: bytes) -> bool:
    """Compare two JSON texts by what they say: the order of members aside, everything counts."""
    if one == other:
        return True
    ordered = [orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS) for text in (one, other)]
    return ordered[0] == ordered[1]


def id_of(raw: bytes) -> str | None:
    """Return the id that a text states, if it is JSON and states one."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None
