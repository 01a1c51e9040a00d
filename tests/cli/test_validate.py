"""`titan validate` names every violation with its place, and survives whatever it is given."""

import json

import pytest

from tests.cli.conftest import EXAMPLE
from tests.cli.hostile import HOSTILE, SUBMODEL, make


def test_the_example_has_no_violations(titan):
    ended = titan("validate", EXAMPLE)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "23 documents in 1 file: no violations\n"


def test_each_violation_is_a_line_with_file_document_and_path(titan, tmp_path):
    broken = SUBMODEL | {"submodelElements": [{"modelType": "Property", "valueType": "xs:int", "value": "many"}]}
    path = tmp_path / "broken.json"
    path.write_text(json.dumps({"submodels": [broken, SUBMODEL | {"id": "ok"}]}))
    ended = titan("validate", path)
    lines = ended.out.splitlines()
    assert ended.code == 1
    assert all(line.startswith(f"{path}: submodel https://example.com/sm/1: ") for line in lines[:-1])
    assert any("submodelElements[0]: Value must be consistent" in line for line in lines)
    assert any("ID-shorts need to be defined" in line for line in lines)
    assert lines[-1] == "2 documents in 1 file: 2 violations"


def test_json_says_the_same(titan, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(SUBMODEL | {"idShort": "1"}))
    ended = titan("validate", "--json", path, EXAMPLE)
    report = json.loads(ended.out)
    assert ended.code == 1
    assert report["summary"] == {"files": 2, "documents": 24, "violations": 1}
    [violation] = report["violations"]
    assert violation.pop("message").startswith("ID-short")
    assert violation == {"file": str(path), "kind": "submodel", "id": SUBMODEL["id"], "path": "idShort"}


def test_json_without_violations_is_json_too(titan):
    assert json.loads(titan("validate", "--json", EXAMPLE).out)["violations"] == []


def test_an_id_given_twice_with_other_content_is_a_violation(titan, tmp_path):
    path = tmp_path / "twice.json"
    path.write_text(json.dumps({"submodels": [SUBMODEL, SUBMODEL, SUBMODEL | {"idShort": "Other"}]}))
    ended = titan("validate", path)
    assert ended.code == 1
    assert "id: given twice in this file, with other content" in ended.out
    assert "3 documents in 1 file: 1 violation" in ended.out


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_a_named_violation(titan, tmp_path, name):
    given = make(tmp_path, name)
    good = tmp_path / "good.json"
    good.write_text(json.dumps(SUBMODEL))
    ended = titan("validate", given, good)
    assert ended.err == ""
    assert ended.code == 1
    assert HOSTILE[name][1] in ended.out
    assert all(line.isprintable() for line in ended.out.splitlines())
    assert " in 2 files: " in ended.out.splitlines()[-1]


def test_a_missing_path_is_a_usage_error(titan, tmp_path):
    ended = titan("validate", tmp_path / "nowhere.json")
    assert ended.code == 2
    assert "nowhere.json" in ended.err
