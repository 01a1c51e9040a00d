"""Every document of the published templates and examples comes back equal as JSON."""

import json

import orjson
import pytest

from tests.support.shared import shared
from titan.model.documents import Prepared, assemble, prepare
from titan.store.contract import Kind

KINDS = {
    "assetAdministrationShells": Kind.SHELL,
    "submodels": Kind.SUBMODEL,
    "conceptDescriptions": Kind.CONCEPT_DESCRIPTION,
}


def environments() -> list[str]:
    folder = shared("data")
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json"))


@pytest.mark.parametrize("indent", [None, 2])
def test_every_document_is_accepted_leniently_and_comes_back_equal(indent):
    documents = 0
    for name in environments():
        environment = json.loads(shared(f"data/{name}").read_text())
        for member, items in environment.items():
            for item in items:
                raw = json.dumps(item, indent=indent, ensure_ascii=indent is not None).encode()
                prepared = prepare(KINDS[member], raw, lenient=True)
                assert isinstance(prepared, Prepared), (name, item["id"], prepared)
                assert orjson.loads(assemble(prepared.document)) == item, (name, item["id"])
                documents += 1
    assert documents > 2000
