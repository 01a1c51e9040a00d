"""Counting what there is in the embedded store; on a worker thread, as it takes long where there is much."""

import sqlite3

from titan.store.codes import FIELD, KIND, KIND_OF
from titan.store.contract import Field, Kind
from titan.store.sqlite.queries import snapshot
from titan.store.tasks import SAMPLE_MAX_BYTES, Counts, TemplateCount


def count(db: sqlite3.Connection, *, templates: int) -> Counts:
    """Count what there is; see `titan.store.tasks.Tasks.count`."""
    with snapshot(db):
        documents = {KIND_OF[kind]: n for kind, n in db.execute("SELECT kind, count(*) FROM document GROUP BY kind")}
        counted = db.execute(
            "SELECT digest, count(*) AS submodels, min(n) FROM term WHERE kind = ? AND field = ?"
            " GROUP BY digest ORDER BY submodels DESC, digest",
            (KIND[Kind.SUBMODEL], FIELD[Field.SEMANTIC_ID]),
        )
        named = [TemplateCount(digest, n, _sample(db, sample)) for digest, n, sample in counted.fetchmany(templates)]
        others = sum(n for _, n, _ in counted)
        (pages,), (page_bytes,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
        (changes,) = db.execute("SELECT coalesce(max(revision) - min(revision) + 1, 0) FROM outbox").fetchone()
        files, file_bytes = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM blob").fetchone()
    return Counts(
        documents={kind: documents.get(kind, 0) for kind in Kind},
        templates=named,
        other_templates=others,
        store_bytes=pages * page_bytes + file_bytes,
        outbox_changes=changes,
        files=files,
        file_bytes=file_bytes,
    )


def _sample(db: sqlite3.Connection, n: int) -> bytes | None:
    row = db.execute(
        "SELECT header FROM document WHERE n = ? AND length(header) <= ?", (n, SAMPLE_MAX_BYTES)
    ).fetchone()
    return None if row is None else row[0]
