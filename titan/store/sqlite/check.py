"""Reads everything in the database and says what is wrong with it; for `titan db check`, backup and restore."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from titan.store.blob_folder import BlobFolder
from titan.store.blobs import digest_of
from titan.store.sqlite.blobs import blob_folder

MOST_FINDINGS = 100

INVARIANTS = {
    "a document without elements that has some": """
        SELECT d.kind || ' ' || d.id FROM document d
        WHERE NOT d.has_elements AND EXISTS (SELECT 1 FROM element e WHERE e.n = d.n)
    """,
    "a document whose content is no JSON object": """
        SELECT kind || ' ' || id FROM document
        WHERE NOT json_valid(CAST(header AS TEXT)) OR substr(header, 1, 1) <> x'7b'
    """,
    "an element whose content is no JSON": """
        SELECT n || ' at ' || position FROM element
        WHERE NOT json_valid(CAST(content AS TEXT))
           OR content_without_blobs IS NOT NULL AND NOT json_valid(CAST(content_without_blobs AS TEXT))
    """,
    "a search term of another kind than its document": """
        SELECT d.id FROM term t JOIN document d ON d.n = t.n WHERE d.kind <> t.kind
    """,
    "a revision that was never drawn": """
        SELECT d.id FROM document d
        WHERE d.revision > (SELECT seq FROM sqlite_sequence WHERE name = 'outbox')
    """,
    "a document that is not as its newest change says": """
        SELECT o.kind || ' ' || o.id
        FROM (SELECT kind, id, type, max(revision) AS revision FROM outbox GROUP BY kind, id) o
        LEFT JOIN document d ON d.kind = o.kind AND d.id = o.id
        WHERE CASE WHEN o.type = 3 THEN d.n IS NOT NULL ELSE d.revision IS NOT o.revision END
    """,
    "a change that no row of the outbox tells, although later ones are there": """
        SELECT d.id FROM document d
        WHERE d.revision >= (SELECT min(revision) FROM outbox)
          AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.revision = d.revision AND o.kind = d.kind AND o.id = d.id)
    """,
}
"""What must never be; each query gives the rows that are."""

OF_FILES = {
    "a file that a document which does not exist is said to name": """
        SELECT key FROM blob_use WHERE n NOT IN (SELECT n FROM document)
    """,
    "a file that is named and being removed": """
        SELECT u.key FROM blob_use u LEFT JOIN blob b ON b.key = u.key WHERE b.is_going IS NOT 0
    """,
}
"""The same for files, which older schemas have not."""


def findings(path: Path) -> Iterator[str]:
    """Yield what is wrong, one line each, at most `MOST_FINDINGS`; nothing where all is well.

    The file is read completely: pages, indexes, references, contents, and the files that documents name. Takes time,
    holds one read transaction, and changes nothing; may run beside a server.
    """
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
        db.execute("BEGIN")
        try:
            yield from _findings(db, BlobFolder(blob_folder(path)))
        except sqlite3.Error as error:
            yield f"cannot be read to the end: {error}"


def _findings(db: sqlite3.Connection, folder: BlobFolder) -> Iterator[str]:
    damaged = False
    for (line,) in db.execute(f"PRAGMA integrity_check({MOST_FINDINGS})"):
        if line != "ok":
            damaged = True
            yield line
    if damaged:
        return  # what follows would only repeat it in other words
    for table, rowid, parent, _ in db.execute("PRAGMA foreign_key_check"):
        yield f"{table} row {rowid}: refers to a {parent} that does not exist"
    yield from _broken(db, INVARIANTS)
    if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'blob'").fetchone():
        yield from _broken(db, OF_FILES)
        yield from islice(_files(db, folder), MOST_FINDINGS)


def _broken(db: sqlite3.Connection, invariants: dict[str, str]) -> Iterator[str]:
    for what, query in invariants.items():
        for (where,) in db.execute(f"{query} LIMIT {MOST_FINDINGS}"):
            yield f"{what}: {where}"


def _files(db: sqlite3.Connection, folder: BlobFolder) -> Iterator[str]:
    """Read every file that a document names: one that is let go while this runs stays for longer than it can take."""
    for key, size in db.execute("SELECT key, size FROM blob WHERE key IN (SELECT key FROM blob_use) AND NOT is_going"):
        try:
            found = folder.look(key)
            digest = folder.digest(key) if found is not None else ""
        except OSError as error:
            yield f"a file that cannot be read: {key}: {error.strerror}"
            continue
        if found is None:
            yield f"a file that is named and not there: {folder.file(key)}"
        elif found.size != size or digest != digest_of(key):
            yield f"a file with another content than it came with: {folder.file(key)}"
