"""No shape of document makes judging it cost more than its size: 0.08 s of CPU a MiB at most, measured alone."""

import json
import time
from typing import Any

import pytest

from tests.support.documents import Json, collection, prop, reference, shell, submodel
from titan.model.documents import prepare
from titan.store.contract import Kind

EVIL_URI = "//" + "en-abcde-" * 200


def nested(levels: int) -> list[Json]:
    elements = [prop(f"P{number}") for number in range(100)]
    for _ in range(levels):
        elements = [collection("Group", *elements)]
    return elements


def listed(number: int) -> Json:
    return {"modelType": "Property", "valueType": "xs:int", "value": "1", "semanticId": reference(f"urn:{number}")}


ITEMS: Json = {
    "modelType": "SubmodelElementList",
    "idShort": "Items",
    "typeValueListElement": "Property",
    "valueTypeListElement": "xs:int",
}
SHAPES: dict[str, tuple[Kind, Any]] = {
    "elements": (Kind.SUBMODEL, submodel(submodelElements=[prop(f"P{n}") for n in range(14000)])),
    "one idShort": (Kind.SUBMODEL, submodel(submodelElements=[prop("Same") for _ in range(14000)])),
    "list": (Kind.SUBMODEL, submodel(submodelElements=[ITEMS | {"value": [listed(n) for n in range(7000)]}])),
    "keys": (Kind.SUBMODEL, submodel(semanticId=reference() | {"keys": [{"type": "Property", "value": "x"}] * 30000})),
    "languages": (Kind.SUBMODEL, submodel(description=[{"language": f"x-{n}", "text": "t"} for n in range(30000)])),
    "asset ids": (
        Kind.SHELL,
        shell(
            assetInformation={
                "assetKind": "Type",
                "specificAssetIds": [{"name": f"{n}", "value": "v"} for n in range(35000)],
            }
        ),
    ),
    "URIs": (
        Kind.SUBMODEL,
        submodel(submodelElements=[prop(f"P{n}", EVIL_URI + " ") | {"valueType": "xs:anyURI"} for n in range(550)]),
    ),
    "paths": (
        Kind.SUBMODEL,
        submodel(submodelElements=[{"modelType": "File", "idShort": f"F{n}", "value": EVIL_URI} for n in range(550)]),
    ),
    "one value": (Kind.SUBMODEL, submodel(submodelElements=[prop("Uri", "//" + "a-" * 500_000 + " ")])),
    "depth": (Kind.SUBMODEL, submodel(submodelElements=[nested(29)[0] | {"idShort": f"G{n}"} for n in range(100)])),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_mebibyte_of_any_shape_is_judged_at_once(name):
    kind, value = SHAPES[name]
    raw = json.dumps(value, separators=(",", ":")).encode()
    assert 0.7 < len(raw) / 2**20 < 1.6
    begin = time.process_time()
    prepare(kind, raw, lenient=True)
    assert time.process_time() - begin < 1.0
