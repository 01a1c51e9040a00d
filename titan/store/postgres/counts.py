"""Counting what there is in PostgreSQL: reads only, in transactions of their own with more time than a request's.

Nothing is locked and no fence is held meanwhile: counting is no effect, what comes of it is written elsewhere.
"""

from titan.store.codes import FIELD, KIND, KIND_OF
from titan.store.contract import Field, Kind
from titan.store.postgres.session import Session
from titan.store.tasks import SAMPLE_MAX_BYTES, Counts, TemplateCount

STATEMENT_S = 120
"""How long one count may take; a table of ten million rows is counted along its index in some seconds."""

_PATIENT = f"SET LOCAL statement_timeout = {STATEMENT_S * 1000}; SET TRANSACTION READ ONLY"

_DOCUMENTS = "SELECT kind, count(*) AS documents FROM titan_document GROUP BY kind"
# $1 how many by themselves
_TEMPLATES = f"""
WITH counted AS (
  SELECT digest, count(*) AS submodels, min(n) AS n FROM titan_term
  WHERE kind = {KIND[Kind.SUBMODEL]} AND field = {FIELD[Field.SEMANTIC_ID]} GROUP BY digest
),
ranked AS (SELECT *, row_number() OVER (ORDER BY submodels DESC, digest) AS place FROM counted)
SELECT r.digest, r.submodels, CASE WHEN length(d.header) <= {SAMPLE_MAX_BYTES} THEN d.header END AS sample, r.place
FROM ranked r LEFT JOIN titan_document d ON d.n = r.n WHERE r.place <= $1
UNION ALL
SELECT NULL, sum(submodels)::bigint, NULL, NULL FROM ranked WHERE place > $1 HAVING count(*) > 0
ORDER BY place
"""
_SIZES = r"""
SELECT
  (SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
    WHERE c.relkind = 'r' AND c.relname LIKE 'titan\_%' AND pg_table_is_visible(c.oid)) AS store_bytes,
  (SELECT coalesce(max(revision) - min(revision) + 1, 0) FROM titan_outbox) AS outbox_changes,
  count(*) AS files, coalesce(sum(size), 0)::bigint AS file_bytes
FROM titan_blob
"""


async def count(session: Session, templates: int) -> Counts:
    """Count what there is; see `titan.store.tasks.Tasks.count`."""
    await session.begin(_PATIENT)
    documents = {KIND_OF[row["kind"]]: row["documents"] for row in await session.rows(_DOCUMENTS)}
    rows = await session.rows(_TEMPLATES, templates)
    sizes = await session.row(_SIZES)
    await session.rollback()
    assert sizes is not None
    named = [row for row in rows if row["digest"] is not None]
    return Counts(
        documents={kind: documents.get(kind, 0) for kind in Kind},
        templates=[TemplateCount(row["digest"], row["submodels"], row["sample"]) for row in named],
        other_templates=sum(row["submodels"] for row in rows if row["digest"] is None),
        **sizes,
    )
