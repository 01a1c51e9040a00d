"""The files that documents name, on their way into a backup and out of one."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from titan.store.blob_folder import BlobFolder
from titan.store.blobs import digest_of
from titan.store.sqlite.blobs import blob_folder


class FileDamaged(Exception):
    """A file is missing or has another content than it came with; the text names it."""


def copy_files(database: Path, source: Path, target: Path) -> int:
    """Copy what the documents of `database` name from the files of `source` to those of `target` (databases' names).

    A file that is there already is not copied again: content never changes under a key. Each copy is on the disk, and
    has the content that its key says, when this returns; returns how many files are named. Raises `FileDamaged`.
    """
    origin, copies = BlobFolder(blob_folder(source)), BlobFolder(blob_folder(target))
    count = 0
    for key in _keys(database, "SELECT key FROM blob WHERE key IN (SELECT key FROM blob_use) AND NOT is_going"):
        count += 1
        if not copies.file(key).exists() or copies.digest(key) != digest_of(key):
            _copy(origin, copies, key)
    return count


def remove_strays(database: Path) -> None:
    """Remove files that the database knows nothing of; only where no other process uses it."""
    folder = BlobFolder(blob_folder(database))
    known = set(_keys(database, "SELECT key FROM blob"))
    for key in set(folder.all_keys()) - known:
        folder.remove(key)


def _copy(origin: BlobFolder, copies: BlobFolder, key: str) -> None:
    file, part = origin.read(key), copies.part()
    try:
        while piece := file.next():
            part.write(piece)
        if part.seal() != digest_of(key):
            raise FileDamaged(f"{origin.file(key)} has another content than it came with")
        part.place(key)
    except FileNotFoundError:
        raise FileDamaged(f"{origin.file(key)} is named by a document and not there") from None
    finally:
        file.close()
        part.discard()


def _keys(database: Path, query: str) -> Iterator[str]:
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'blob'").fetchone():
            yield from (key for (key,) in db.execute(query))
