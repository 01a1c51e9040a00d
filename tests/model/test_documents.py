"""What is kept, what is refused, and that nothing a client sends ends in anything else."""

import copy
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.documents import (
    blob,
    collection,
    complete_concept_description,
    complete_shell,
    complete_submodel,
    prop,
    submodel,
)
from titan.model.documents import Prepared, Unacceptable, assemble, prepare
from titan.store.contract import Kind

COMPLETE = {
    Kind.SHELL: complete_shell(),
    Kind.SUBMODEL: complete_submodel(),
    Kind.CONCEPT_DESCRIPTION: complete_concept_description(),
}


def prepared(value: Any, kind: Kind = Kind.SUBMODEL, *, lenient: bool = False) -> Prepared:
    result = prepare(kind, json.dumps(value).encode(), lenient=lenient)
    assert isinstance(result, Prepared), result
    return result


def refused(value: Any, kind: Kind = Kind.SUBMODEL, *, lenient: bool = False) -> list[str]:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    result = prepare(kind, raw, lenient=lenient)
    assert isinstance(result, Unacceptable), result
    return [str(violation) for violation in result.violations]


@pytest.mark.parametrize("kind", Kind)
def test_a_complete_document_comes_back_equal(kind):
    result = prepared(COMPLETE[kind], kind)
    assert result.violations == ()
    assert json.loads(assemble(result.document)) == COMPLETE[kind]


def test_blob_values_are_left_out_at_every_depth():
    document = prepared(COMPLETE[Kind.SUBMODEL]).document
    without = [element.content_without_blobs for element in document.elements or ()]
    changed = [element.id_short for element in document.elements or () if element.content_without_blobs is not None]
    assert changed == ["Picture", "Annotated", "Start", "Part", "Items", "Group"]
    assert all(b"UGlj" not in content for content in without if content is not None)


def test_something_else_that_calls_itself_blob_keeps_its_value():
    element = prop() | {"extensions": [{"modelType": "Blob", "name": "n", "value": "QUJD"}]}
    document = prepared(submodel(submodelElements=[element])).document
    assert document.elements is not None
    assert document.elements[0].content_without_blobs is None


@pytest.mark.parametrize("value", ["QUJ D", "QUJ\nD", "QQ==QQ==", "QU-JD"])
def test_base64_with_foreign_characters_is_reported_and_kept(value):
    document = submodel("s", submodelElements=[collection("Group", blob(value=value))])
    assert refused(document)[0].startswith("submodelElements[0].value[0].value: ")
    result = prepared(document, lenient=True)
    assert len(result.violations) == 1
    assert json.loads(assemble(result.document)) == document


def test_an_empty_list_of_elements_is_not_the_same_as_none():
    assert json.loads(assemble(prepared(submodel("s")).document)) == submodel("s")
    empty = submodel("s", submodelElements=[])
    assert "submodelElements" not in refused(empty)[0].partition(":")[0]
    result = prepared(empty, lenient=True)
    assert result.document.elements == ()
    assert json.loads(assemble(result.document)) == empty
    assert len(result.violations) == 1


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"colour": "red"}, ""),
        ({"idShort": 5}, "idShort"),
        ({"idShort": None}, "idShort"),
        ({"modelType": "Property"}, ""),
        ({"modelType": []}, ""),
        ({"submodelElements": {}}, "submodelElements"),
        ({"submodelElements": [prop() | {"valueType": "int"}]}, "submodelElements[0].valueType"),
        ({"submodelElements": [prop() | {"semanticId": {"keys": []}}]}, "submodelElements[0].semanticId"),
        ({"submodelElements": [{"idShort": "A"}]}, "submodelElements[0]"),
        ({"submodelElements": [collection("A", {"modelType": "Unknown"})]}, "submodelElements[0].value[0]"),
        ({"submodelElements": [blob(value="A")]}, "submodelElements[0].value"),
        ({"submodelElements": [blob(value="ÄÄÄÄ")]}, "submodelElements[0].value"),
        ({"id": ""}, "id"),
        ({"id": "a\u0001b"}, "id"),
        ({"id": "x" * 2049}, "id"),
    ],
)
def test_malformed_structure_is_refused_in_both_modes(change, path, lenient):
    text = refused(submodel("s") | change, lenient=lenient)[0]
    assert text.startswith(f"{path}: ") if path else not text.startswith("submodelElements")


def test_messages_speak_of_json_not_of_python():
    assert refused(submodel("s") | {"idShort": 5}) == ["idShort: Expected a string, but got: a number"]


def test_an_identifier_may_have_2048_characters_of_any_kind():
    identifier = "😀" * 2048
    assert prepared(submodel(identifier)).document.id == identifier


def test_violations_have_json_paths():
    document = submodel("s", submodelElements=[prop("-"), prop("ok", "seven")], displayName=[])
    assert refused(document)[0].startswith("Display name")
    paths = [text.partition(":")[0] for text in refused(document)[1:]]
    assert paths == ["submodelElements[0].idShort", "submodelElements[1]"]
    assert len(prepared(document, lenient=True).violations) == 3


def test_a_document_full_of_violations_gets_a_bounded_answer():
    texts = refused(submodel("s", submodelElements=[prop("-") for _ in range(5000)]))
    assert len(texts) == 101


def test_nesting_up_to_the_limit_is_fine_and_beyond_is_refused():
    def nested(levels: int) -> dict[str, Any]:
        element = prop()
        for _ in range(levels):
            element = collection("Group", element)
        return submodel("s", submodelElements=[element])

    assert json.loads(assemble(prepared(nested(30)).document)) == nested(30)
    assert "deeper" in refused(nested(31))[0]


HOSTILE: list[Any] = [
    None,
    True,
    0,
    -1.5,
    "",
    "x",
    [],
    {},
    [[]],
    [{}],
    {"modelType": "Submodel"},
    "ß" * 10,
    "\x01",
    [None],
    1e300,
]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Kind, Any]:
    """A complete document with one to three of its values, names or items replaced, doubled or taken away."""
    kind = draw(st.sampled_from(list(Kind)))
    value = copy.deepcopy(COMPLETE[kind])
    for _ in range(draw(st.integers(1, 3))):
        parent: Any = value
        while True:
            keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            child = parent[key]
            if isinstance(child, dict | list) and child and draw(st.integers(0, 3)):
                parent = child
                continue
            action = draw(st.integers(0, 3))
            if action == 0:
                del parent[key]
            elif action == 1 and isinstance(parent, dict):
                parent[draw(st.sampled_from(["", "value", "modelType", "x" * 100, "keys"]))] = child
            else:
                parent[key] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
            break
    return kind, value


@settings(max_examples=600, deadline=None, derandomize=True)
@given(mutated(), st.booleans())
def test_any_document_is_kept_equal_or_refused_with_reasons(case, lenient):
    kind, value = case
    result = prepare(kind, orjson.dumps(value), lenient=lenient)
    if isinstance(result, Prepared):
        assert orjson.loads(assemble(result.document)) == value
        assert lenient or not result.violations
    else:
        assert all(str(violation) for violation in result.violations)
        assert result.violations
