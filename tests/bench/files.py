"""Input of the benchmarks: files of many documents of one size."""

from pathlib import Path

from tests.bench.twins import PLACEHOLDER, submodel

PER_FILE = 100


def document_id(number: int) -> str:
    """Return the id of the document with this number; all ids have one length."""
    return f"urn:bench:submodel:{number:08d}"


def folder(path: Path, documents: int, size: int = 4096) -> Path:
    """Write environments of 100 submodels each, each submodel of about `size` bytes; return the folder."""
    template = submodel(PLACEHOLDER, size).decode()
    path.mkdir(parents=True)
    for first in range(0, documents, PER_FILE):
        numbers = range(first, min(first + PER_FILE, documents))
        submodels = ",".join(template.replace(PLACEHOLDER, document_id(number)) for number in numbers)
        (path / f"{first:08d}.json").write_text('{"submodels":[' + submodels + "]}")
    return path
