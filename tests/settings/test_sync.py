"""Sources of the external sync: a list in the file or JSON, and every mistake named by entry and field."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from titan.settings import Settings, all_settings
from titan.settings_load import SettingsError, load
from titan.settings_sync import SyncSource
from titan.settings_text import shown
from titan.store.contract import Kind

SOURCES = next(setting for setting in all_settings() if setting.path == "sync.sources")
ENTRY = {"name": "plant-b", "url": "https://aas.plant-b.example/api/v3.1/"}
VARIABLE = "TITAN_SYNC__SOURCES"


def sources(*entries: Mapping[str, object], **environ: str) -> tuple[SyncSource, ...]:
    return load({VARIABLE: json.dumps(entries), **environ}).settings.sync.sources


def source(**members) -> SyncSource:
    (made,) = sources({**ENTRY, **members})
    return made


def the_problem(value: object, **environ: str) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    with pytest.raises(SettingsError) as caught:
        load({VARIABLE: text, **environ})
    (problem,) = caught.value.problems
    return problem


def test_the_same_entry_from_the_environment_and_from_the_file(tmp_path):
    path = tmp_path / "titan.toml"
    path.write_text(
        '[sync]\nallowed_networks = "10.0.0.0/8"\n'
        '[[sync.sources]]\nname = "plant-b"\nurl = "https://aas.plant-b.example/api/v3.1/"\nkinds = ["submodel"]\n'
        '[[sync.sources]]\nname = "plant-c"\nurl = "http://aas.plant-c.example"\ntoken = ""\n'
        "[http]\nport = 1\n"
    )
    loaded = load({}, config=path)
    assert [entry.name for entry in loaded.settings.sync.sources] == ["plant-b", "plant-c"]
    assert loaded.settings.sync.sources[0] == source(kinds=["submodel"])
    assert loaded.origin(SOURCES) == f"file {path}: sync.sources"
    assert load({VARIABLE: "[]"}, config=path).settings.sync.sources == ()  # the environment's list replaces the file's


def test_the_list_is_a_secret_and_may_be_in_a_file(tmp_path):
    path = tmp_path / "sources.json"
    path.write_text(json.dumps([ENTRY]))
    loaded = load({f"{VARIABLE}_FILE": str(path)})
    assert loaded.settings.sync.sources[0].name == "plant-b"
    (tmp_path / VARIABLE.lower()).write_text(json.dumps([ENTRY]))
    assert load({"CREDENTIALS_DIRECTORY": str(tmp_path)}).settings.sync.sources[0].name == "plant-b"


def test_an_entry_becomes_what_is_pulled():
    made = source(
        interval_s=60, kinds=["submodel", "shell"], ids=["urn:a"], id_short="Nameplate", semantic_id="urn:s", token="t"
    ).as_source()
    assert (made.name, made.url, made.interval_s) == ("plant-b", "https://aas.plant-b.example/api/v3.1", 60)
    assert made.filter.kinds == (Kind.SHELL, Kind.SUBMODEL)
    assert made.filter.ids == {"urn:a"}
    assert set(made.filter.query[Kind.SUBMODEL]) == {"idShort", "semanticId"}
    assert made.headers == (("Authorization", "Bearer t"),)
    assert "Bearer" not in repr(made)


def test_secrets_of_an_entry_come_from_files_anew_for_every_pull(tmp_path):
    path = tmp_path / "token"
    path.write_text("first\n")
    made = source(token_file=str(path))
    assert made.as_source().headers == (("Authorization", "Bearer first"),)
    path.write_text("second\n")
    assert made.as_source().headers == (("Authorization", "Bearer second"),)
    path.write_text("two\nlines")
    with pytest.raises(ValueError, match="one line"):
        made.as_source()


@pytest.mark.parametrize(
    ("members", "header"),
    [
        ({"username": "titan", "password": "p"}, ("Authorization", "Basic dGl0YW46cA==")),
        ({"header": "X-API-Key", "header_value": "k"}, ("X-API-Key", "k")),
    ],
)
def test_other_credentials(members, header):
    assert source(**members).as_source().headers == (header,)


def test_secrets_are_masked_wherever_they_are_shown():
    entry = {**ENTRY, "token": "hunter2"}
    for value in ([entry], json.dumps([entry]), sources(entry)):
        text = shown(SOURCES, value)
        assert "hunter2" not in text
        assert "plant-b" in text
    assert shown(SOURCES, Settings().sync.sources) == ""
    assert shown(SOURCES, 'no JSON: "hunter2"') == "***"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "ftp://x"}, "[1] (plant-c): url = ftp://x: must be http://… or https://…"),
        ({"url": "file:///etc/passwd"}, "[1] (plant-c): url = file:///etc/passwd: must be http://… or https://…"),
        ({"url": "gopher://x/1"}, "[1] (plant-c): url = gopher://x/1: must be http://… or https://…"),
        ({"url": "http://x?a=b"}, "[1] (plant-c): url = http://x?a=b: must be an ASCII URL without query and fragment"),
        ({"interval_s": 0}, "[1] (plant-c): interval_s = 0: must be a number from 1 to 604800"),
        ({"kinds": ["package"]}, "must be a list of shell, submodel, concept-description"),
        ({"kinds": []}, "[1] (plant-c): kinds = []: must name one kind at least"),
        ({"ulr": "x"}, "[1] (plant-c): no such field ulr; did you mean url?"),
        ({"token": "a", "username": "b", "password": "c"}, "[1] (plant-c): token and username are given"),
        ({"username": "b"}, "[1] (plant-c): username and password belong together"),
        ({"password": "b"}, "[1] (plant-c): username and password belong together"),
        ({"header": "Host", "header_value": "x"}, "[1] (plant-c): header = Host: must be the name of a header"),
        ({"header": "X-A\r\nB", "header_value": "x"}, "[1] (plant-c): header = X-A\\r\\nB: must be the name"),
        ({"token_file": "/nowhere"}, "[1] (plant-c): token_file = /nowhere: no such file, or not readable"),
        ({"semantic_id": "{}"}, "[1] (plant-c): semantic_id = {}: is no Reference"),
        ({"ids": [""]}, "[1] (plant-c): ids = ['']: must be ids of 1 to 2,048 characters"),
        ({"name": "plant-b"}, "the name plant-b is given to more than one entry"),
        ({"name": ""}, "[1]: name must be given"),
    ],
)
def test_a_mistake_is_named_with_entry_and_field(change, words):
    problem = the_problem([ENTRY, {**ENTRY, "name": "plant-c", **change}])
    assert problem.startswith(VARIABLE)
    assert words in problem
    assert "environment" in problem


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", "must be a JSON list of objects"),
        ("{}", "must be a JSON list of objects"),
        (["x"], "[0]: must be an object with named fields"),
        ([{"name": "a"}], "[0] (a): url must be given"),
    ],
)
def test_what_is_no_list_of_entries(value, words):
    assert words in the_problem(value)


@pytest.mark.parametrize(
    "entry",
    [
        {**ENTRY, "url": "https://u:hunter2@x.example"},
        {**ENTRY, "token": "hunter2\nhunter2"},
        {**ENTRY, "tokn": "hunter2"},
        {**ENTRY, "token": "hunter2", "header": "X-A", "header_value": "hunter2"},
        {**ENTRY, "token": ["hunter2"]},
    ],
)
def test_no_mistake_shows_a_secret(entry):
    assert "hunter2" not in the_problem([entry])
    assert "hunter2" not in the_problem(json.dumps([entry])[:-1])


def test_what_may_not_be_connected_to_for_certain_is_refused_at_load():
    local = {**ENTRY, "url": "http://127.0.0.1:8080"}
    problem = the_problem([local])
    assert "sync.sources[0] (plant-b): url = http://127.0.0.1:8080: 127.0.0.1 is not a public address" in problem
    assert load({VARIABLE: json.dumps([local]), "TITAN_SYNC__ALLOWED_NETWORKS": "127.0.0.0/8"}).settings.sync.sources
    assert "is not in sync.allowed_networks" in the_problem([local], TITAN_SYNC__ALLOWED_NETWORKS="10.0.0.0/8")
    assert "is not in sync.allowed_hosts" in the_problem([ENTRY], TITAN_SYNC__ALLOWED_HOSTS="aas.plant-c.example")
    assert sources(ENTRY, TITAN_SYNC__ALLOWED_HOSTS="x, AAS.plant-b.example")


def test_credentials_in_clear_warn():
    warned = load({VARIABLE: json.dumps([{**ENTRY, "url": "http://aas.example", "token": "t"}])}).warnings
    assert any("plant-b" in warning and "http://" in warning for warning in warned)
    assert not any("plant-b" in warning for warning in load({VARIABLE: json.dumps([{**ENTRY, "token": "t"}])}).warnings)


def test_a_file_of_toml_tables_is_told_by_its_own_name(tmp_path: Path):
    path = tmp_path / "titan.toml"
    path.write_text('[[sync.sources]]\nname = "a"\nurl = "ftp://x"\n')
    with pytest.raises(SettingsError) as caught:
        load({}, config=path)
    assert str(caught.value) == f"sync.sources[0] (a): url = ftp://x: must be http://… or https://… (file {path})"


def test_reading_the_settings_does_not_load_the_http_client():
    """It takes 0.1 s and some MiB, which only who pulls has to spend."""
    program = "import sys, titan.settings_load; sys.exit(bool({'httpx', 'httpcore', 'aas_core3_1'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
