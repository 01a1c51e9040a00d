"""`titan import`: what is taken, changed, skipped and refused, and that the report says so."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli import stores
from tests.cli.conftest import EXAMPLE, Ended
from tests.cli.hostile import HOSTILE, SUBMODEL, make
from titan.cli.transfer import reading


def write(path: Path, *submodels: object) -> Path:
    path.write_text(json.dumps({"submodels": submodels}))
    return path


def statuses(ended: Ended) -> list[tuple[str | None, str]]:
    return [(row["id"], row["status"]) for row in json.loads(ended.out)["documents"]]


def test_the_example_is_taken_whole_into_a_folder_that_is_not_there_yet(titan, tmp_path):
    ended = titan("import", EXAMPLE, data_dir=tmp_path / "new" / "data")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.split() == [
        *("file", "taken", "changed", "skipped", "refused"),
        "─" * len(ended.out.splitlines()[2].strip()),
        *(str(EXAMPLE), "23", "0", "0", "0"),
    ]


def test_a_second_import_changes_nothing(titan, data_dir):
    assert titan("import", EXAMPLE, data_dir=data_dir).code == 0
    before = stores.changes(data_dir)
    again = titan("import", "--replace", EXAMPLE.parent, data_dir=data_dir)
    assert again.code == 0
    assert "same content" in again.out
    assert stores.changes(data_dir) == before
    assert len(before) == 23


def test_the_order_of_members_is_no_difference(titan, data_dir, tmp_path):
    titan("import", write(tmp_path / "one.json", SUBMODEL | {"idShort": "One"}), data_dir=data_dir)
    before = stores.changes(data_dir)
    turned = dict(reversed((SUBMODEL | {"idShort": "One"}).items()))
    ended = titan("import", "--json", write(tmp_path / "one.json", turned), data_dir=data_dir)
    assert statuses(ended) == [(SUBMODEL["id"], "skipped")]
    assert stores.changes(data_dir) == before


@pytest.mark.parametrize(
    ("option", "code", "status", "kept"),
    [([], 1, "refused", "Old"), (["--replace"], 0, "changed", "New"), (["--skip-existing"], 0, "skipped", "Old")],
)
def test_what_exists_with_other_content(titan, data_dir, tmp_path, option, code, status, kept):
    titan("import", write(tmp_path / "old.json", SUBMODEL | {"idShort": "Old"}), data_dir=data_dir)
    new = write(tmp_path / "new.json", SUBMODEL | {"idShort": "New"}, SUBMODEL | {"id": "other"})
    ended = titan("import", "--json", *option, new)
    assert ended.code == code
    assert sorted(statuses(ended)) == [(SUBMODEL["id"], status), ("other", "taken")]
    assert json.loads(titan("export", "-", "--id", SUBMODEL["id"]).out)["submodels"][0]["idShort"] == kept


def test_replace_and_skip_existing_exclude_each_other(titan):
    ended = titan("import", "--replace", "--skip-existing", EXAMPLE)
    assert ended.code == 2
    assert "exclude each other" in ended.err


def test_of_an_id_given_twice_the_first_counts(titan, data_dir, tmp_path):
    first, second = SUBMODEL | {"idShort": "First"}, SUBMODEL | {"idShort": "Second"}
    path = write(tmp_path / "twice.json", first, second, first)
    ended = titan("import", "--json", "--replace", path, data_dir=data_dir)
    assert ended.code == 1
    assert Counter(statuses(ended)) == Counter(
        [(SUBMODEL["id"], "taken"), (SUBMODEL["id"], "refused"), (SUBMODEL["id"], "skipped")]
    )
    reasons = {row["status"]: row["reason"] for row in json.loads(ended.out)["documents"]}
    assert reasons["refused"] == "given twice in this file, with other content; the first one counts"
    assert reasons["skipped"] == "given twice in this file, with the same content"
    assert json.loads(titan("export", "-").out) == {"submodels": [first]}


def test_the_same_id_in_another_kind_is_another_document(titan, data_dir, tmp_path):
    concept = {"modelType": "ConceptDescription", "id": SUBMODEL["id"]}
    path = tmp_path / "both.json"
    path.write_text(json.dumps({"submodels": [SUBMODEL], "conceptDescriptions": [concept]}))
    assert titan("import", path, data_dir=data_dir).code == 0
    assert len(stores.changes(data_dir)) == 2


def test_with_replace_the_last_file_counts(titan, data_dir, tmp_path):
    paths = [write(tmp_path / f"{number}.json", SUBMODEL | {"idShort": f"Sm{number}"}) for number in range(10)]
    ended = titan("import", "--replace", "--json", *paths, data_dir=data_dir)
    assert [status for _, status in statuses(ended)] == ["taken"] + ["changed"] * 9
    assert json.loads(titan("export", "-").out)["submodels"][0]["idShort"] == "Sm9"


def test_violations_are_reported_when_lenient_and_refused_when_strict(titan, data_dir, tmp_path):
    broken = SUBMODEL | {"id": "broken", "idShort": "1", "description": [{"language": "not a language", "text": ""}]}
    path = write(tmp_path / "broken.json", broken, SUBMODEL)
    strict = titan("import", "--strict", path, data_dir=data_dir)
    assert strict.code == 1
    assert "refused" in strict.out
    assert "idShort: ID-short" in strict.out
    assert "more)" in strict.out
    lenient = titan("import", path)
    assert lenient.code == 0
    assert "violates the metamodel" in lenient.out
    assert "submodel broken" in lenient.out
    all_of_them = json.loads(titan("import", "--json", path).out)["documents"]
    [row] = [row for row in all_of_them if row["id"] == "broken"]
    assert {violation["path"].split("[")[0] for violation in row["violations"]} == {"idShort", "description"}
    assert json.loads(titan("export", "-", "--id", "broken").out)["submodels"] == [broken]


def test_one_identifiable_may_be_a_file(titan, data_dir, tmp_path):
    path = tmp_path / "submodel"
    path.write_text(json.dumps(SUBMODEL, indent=2))
    assert titan("import", path, data_dir=data_dir).code == 0
    assert json.loads(titan("export", "-").out) == {"submodels": [SUBMODEL]}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_a_named_refusal_and_the_others_are_taken(titan, data_dir, tmp_path, name):
    given = make(tmp_path, name)
    ended = titan("import", given, write(tmp_path / "good.json", SUBMODEL | {"id": "good"}), data_dir=data_dir)
    assert (ended.code, ended.err) == (1, "")
    assert HOSTILE[name][1] in ended.out
    assert all(line.isprintable() for line in ended.out.splitlines())
    assert [change.id for change in stores.changes(data_dir)] == ["good"]


def test_file_names_that_are_no_text_are_shown_escaped(titan, data_dir, tmp_path):
    name = tmp_path / "\udcff\x1b[31m.json"
    name.write_text("{")
    ended = titan("import", tmp_path, data_dir=data_dir)
    assert ended.code == 1
    assert r"\udcff\x1b[31m.json" in ended.out
    assert "\x1b" not in ended.out
    assert "ends in the middle" in json.loads(titan("import", "--json", tmp_path).out)["documents"][0]["reason"]


def test_a_list_too_long_for_a_table_is_counted_and_whole_with_verbose(titan, data_dir, tmp_path):
    path = write(tmp_path / "many.json", *({"modelType": "Submodel", "id": f"{n:03}", "x": 1} for n in range(130)))
    short = titan("import", path, data_dir=data_dir)
    assert "… and 30 more" in short.out
    assert short.out.count("submodel ") == 100
    assert titan("import", "--verbose", path).out.count("submodel ") == 130
    assert json.loads(titan("import", "--json", path).out)["summary"] == {
        "taken": 0,
        "changed": 0,
        "skipped": 0,
        "refused": 130,
    }


def test_one_document_beyond_the_limit_is_refused_alone(titan, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_PIECE_BYTES", 1000)
    large = SUBMODEL | {"id": "large", "idShort": "x" * 1000}
    ended = titan("import", write(tmp_path / "large.json", large, SUBMODEL), data_dir=data_dir)
    assert ended.code == 1
    assert "submodel at byte 15" in ended.out
    assert "allowed are 1000" in ended.out
    assert [change.id for change in stores.changes(data_dir)] == [SUBMODEL["id"]]


@pytest.mark.parametrize("arguments", [["import", EXAMPLE], ["export", "-"]])
def test_a_schema_that_this_version_cannot_serve_is_exit_code_4(titan, data_dir, arguments):
    with closing(sqlite3.connect(data_dir / "titan.db")) as db:
        db.execute("UPDATE titan_schema SET revision = '9999', oldest_program = '99.0.0'")
        db.commit()
    ended = titan(*arguments, data_dir=data_dir)
    assert (ended.code, ended.out) == (4, "")
    assert len(ended.err.splitlines()) == 1
    assert "needs titan 99.0.0" in ended.err


def test_settings_say_where_the_store_is(titan, tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/elsewhere/twins.db")
    assert titan("import", EXAMPLE).code == 0
    assert (tmp_path / "elsewhere/twins.db").exists()
    assert titan("export", tmp_path / "out.json").code == 0


def test_a_data_folder_that_cannot_be_made_is_one_line(titan, tmp_path):
    (tmp_path / "file").touch()
    ended = titan("import", EXAMPLE, data_dir=tmp_path / "file" / "data")
    assert (ended.code, ended.out) == (1, "")
    assert len(ended.err.splitlines()) == 1
    assert "data folder" in ended.err


def test_a_file_that_is_no_database_is_one_line(titan, tmp_path):
    (tmp_path / "titan.db").write_bytes(b"no database" * 1000)
    for arguments in (["import", EXAMPLE], ["export", "-"]):
        ended = titan(*arguments, data_dir=tmp_path)
        assert (ended.code, ended.out) == (1, "")
        assert len(ended.err.splitlines()) == 1
        assert "titan.db" in ended.err
