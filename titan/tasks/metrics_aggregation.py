"""`metrics-aggregation`: counts what there is, so that every instance can show it without counting."""

from collections.abc import Iterator
from typing import Any

import orjson

from titan.model.terms import terms_of
from titan.printable import printable
from titan.store.codes import term
from titan.store.contract import Field, Kind
from titan.store.tasks import Counts, Figure, TemplateCount
from titan.tasks.task import Done, Run

TEMPLATES = 50
"""Templates that are counted by themselves: they become label values, of which there must be few."""
LABEL_MAX_CHARACTERS = 200

DOCUMENTS = "documents"
SUBMODELS = "submodels"
STORE_BYTES = "store_bytes"
OUTBOX_CHANGES = "outbox_changes"
FILES = "files"
FILE_BYTES = "file_bytes"
CURSOR_KEPT_MS = "cursor_kept_ms"
COUNTED_MS = "counted_ms"

OTHER = "other"
"""The label of what is not counted by itself."""


async def metrics_aggregation(run: Run) -> Done:
    """Count; the figures are kept with the end of the run."""
    counts = await run.store.tasks.count(templates=TEMPLATES)
    documents = ", ".join(f"{number} {kind}s" for kind, number in counts.documents.items())
    cursors = [Figure(CURSOR_KEPT_MS, each.name, each.kept_ms) for each in await run.store.cursors.look()]
    return Done(f"counted {documents}", [*figures(counts, run.now_ms), *cursors])


def figures(counts: Counts, now_ms: int) -> Iterator[Figure]:
    """Yield what is kept; no two have one name and label."""
    for kind, number in counts.documents.items():
        yield Figure(DOCUMENTS, kind.value, number)
    templates: dict[str, int] = {}
    for template in counts.templates:
        label = label_of(template)
        templates[label] = templates.get(label, 0) + template.submodels
    if counts.other_templates:
        templates[OTHER] = templates.get(OTHER, 0) + counts.other_templates
    for label, number in templates.items():
        yield Figure(SUBMODELS, label, number)
    yield Figure(STORE_BYTES, "", counts.store_bytes)
    yield Figure(OUTBOX_CHANGES, "", counts.outbox_changes)
    yield Figure(FILES, "", counts.files)
    yield Figure(FILE_BYTES, "", counts.file_bytes)
    yield Figure(COUNTED_MS, "", now_ms)


def label_of(template: TemplateCount) -> str:
    """Return what people call the template: the last value of its semantic id, else the digest in the index."""
    if template.sample is not None:
        header = orjson.loads(template.sample)
        for reference in _semantic_ids(header):
            if _digest(reference) == template.digest:
                return printable(str(reference["keys"][-1]["value"]))[:LABEL_MAX_CHARACTERS]
    return template.digest.hex()


def _semantic_ids(header: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "semanticId" in header:
        yield header["semanticId"]
    yield from header.get("supplementalSemanticIds", ())


def _digest(reference: dict[str, Any]) -> bytes:
    """Return what stands for the reference in the index."""
    [found] = (each for each in terms_of(Kind.SUBMODEL, {"semanticId": reference}) if each.field is Field.SEMANTIC_ID)
    return term(found)[1]
