"""`level=core`: the elements of a submodel without what they contain."""

import json
from typing import Any

from tests.support.documents import blob, collection, complete_submodel, prop, submodel
from titan.model.modifiers import core


def of(value: Any) -> Any:
    return json.loads(core(json.dumps(value).encode()))


def test_the_four_kinds_of_children_are_left_out_and_nothing_else():
    document = complete_submodel()
    before = {element["idShort"]: element for element in document["submodelElements"]}
    after = {element["idShort"]: element for element in of(document)["submodelElements"]}
    left_out = {name: set(before[name]) - set(after[name]) for name in before if before[name] != after[name]}
    assert left_out == {
        "Annotated": {"annotations"},
        "Part": {"statements"},
        "Items": {"value"},
        "Group": {"value"},
    }


def test_a_submodel_without_elements_stays_as_it_is():
    assert of(submodel("s")) == submodel("s")
    assert of(submodel("s", submodelElements=[])) == submodel("s", submodelElements=[])


def test_what_is_no_container_keeps_its_value():
    document = submodel("s", submodelElements=[prop(), blob()])
    assert of(document) == document
    assert of(submodel("s", submodelElements=[collection("Group", prop())]))["submodelElements"] == [
        {"modelType": "SubmodelElementCollection", "idShort": "Group"}
    ]
