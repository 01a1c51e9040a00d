"""Files of blobs in a folder. Everything here blocks, on a disk that may hang, and belongs on a worker thread.

    FOLDER/part/…          uploads in progress
    FOLDER/ab/abcdef…      a finished file, under its whole key

A file gets its own name only when its content is on the disk, by a rename, which is on the disk as well when `place`
returns. So under a key there is the whole file or nothing, whenever the machine stops.

An object that is used on one thread may be given up on another (a caller that was cancelled does not wait for a hanging
disk): calls of one object take turns, and the last one, `discard` or `close`, waits for those before.
"""

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from titan.store.blobs import HEAD_BYTES, PIECE_BYTES, Blob, is_key

SYNC_EVERY_BYTES = 4 << 20
"""How much may wait in the kernel for the disk: so much is what the last sync of a file has to do, however large."""


class BlobFolder:
    """One folder; several processes may use it, but only one `remove_leftovers`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_made = False

    def part(self) -> "PartFile":
        """Return a file to be; nothing is done yet."""
        return PartFile(self)

    def look(self, key: str) -> Blob | None:
        """Say what is known of a file, None where there is none."""
        try:
            with self.file(key).open("rb", buffering=0) as file:
                return Blob(os.fstat(file.fileno()).st_size, file.read(HEAD_BYTES))
        except FileNotFoundError:
            return None

    def read(self, key: str) -> "ReadFile":
        """Return a file to be read; nothing is done yet."""
        return ReadFile(self.file(key))

    def digest(self, key: str) -> str:
        """Return the SHA-256 that a file's content really has, in hexadecimal. Raises `FileNotFoundError`."""
        with self.file(key).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def remove(self, key: str) -> None:
        """Remove a file, if it is there."""
        self.file(key).unlink(missing_ok=True)

    def all_keys(self) -> Iterator[str]:
        """Yield the keys of all files."""
        for shard in self.path.glob("[0-9a-f][0-9a-f]"):
            yield from (entry.name for entry in shard.iterdir() if is_key(entry.name))

    def remove_leftovers(self) -> int:
        """Remove what uploads left behind that never ended; return how many. Only where no upload is in progress."""
        count = 0
        for leftover in self.parts.glob("*"):
            leftover.unlink(missing_ok=True)
            count += 1
        return count

    @property
    def parts(self) -> Path:
        """Where uploads in progress are."""
        return self.path / "part"

    def file(self, key: str) -> Path:
        """Return where the file of a key is. Raises `ValueError` for anything but a key: no text of a client's."""
        if not is_key(key):
            raise ValueError(f"not a key: {key[:128]!r}")
        return self.path / key[:2] / key

    def make(self) -> None:
        """Make the folder itself, for its owner alone, and have that on the disk, once in each process."""
        if self._is_made:
            return
        self.path.mkdir(mode=0o700, exist_ok=True)
        self.parts.mkdir(mode=0o700, exist_ok=True)
        _sync(self.path)
        _sync(self.path.parent)
        self._is_made = True


class PartFile:
    """A file that is being written."""

    def __init__(self, folder: BlobFolder) -> None:
        self._folder = folder
        self._turn = threading.Lock()
        self._fd: int | None = None
        self._name: Path | None = None
        self._is_over = False
        self._digest = hashlib.sha256()
        self._unsynced = 0
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append."""
        with self._turn:
            fd = self._open()
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            self._digest.update(data)
            self.size += len(data)
            self._unsynced += len(data)
            if self._unsynced >= SYNC_EVERY_BYTES:
                os.fdatasync(fd)
                self._unsynced = 0

    def seal(self) -> str:
        """Bring all of it to the disk; return its SHA-256 in hexadecimal."""
        with self._turn:
            os.fsync(self._open())
            return self._digest.hexdigest()

    def place(self, key: str) -> None:
        """Give the file its name for good."""
        target = self._folder.file(key)
        with self._turn:
            self._open()
            assert self._name is not None
            with suppress(FileExistsError):
                target.parent.mkdir(mode=0o700)
            self._name.rename(target)
            self._name = None
            _sync(target.parent)
            _sync(self._folder.path)  # always: whoever made the shard may have died before it was on the disk

    def discard(self) -> None:
        """Be done with it; removed unless it was placed."""
        with self._turn:
            self._is_over = True
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
            if self._name is not None:
                self._name.unlink(missing_ok=True)

    def _open(self) -> int:
        if self._is_over:
            raise FileNotFoundError("the upload was given up")
        if self._fd is None:
            self._folder.make()
            self._fd, name = tempfile.mkstemp(dir=self._folder.parts, prefix="")
            self._name = Path(name)
        return self._fd


class ReadFile:
    """A file that is being read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()
        self._fd: int | None = None

    def next(self) -> bytes:
        """Return the next piece, b'' at the end."""
        with self._turn:
            if self._fd is None:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return os.read(self._fd, PIECE_BYTES)

    def close(self) -> None:
        """Be done with it."""
        with self._turn:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
