"""`titan export`: the same content back, whole or not at all."""

import json
import os
import resource
import stat
import subprocess
import sys

import pytest

from tests.cli.conftest import EXAMPLE
from tests.cli.hostile import SUBMODEL
from tests.support.server import clean_environment


@pytest.fixture
def filled(titan, data_dir):
    assert titan("import", EXAMPLE, data_dir=data_dir).code == 0
    return data_dir


def test_the_example_comes_back_equal(titan, filled, tmp_path):
    ended = titan("export", tmp_path / "out.json")
    assert (ended.code, ended.out, ended.err) == (0, "", "23 documents exported\n")
    assert json.loads((tmp_path / "out.json").read_text()) == json.loads(EXAMPLE.read_text())


def test_an_export_imports_again_without_change(titan, filled, tmp_path):
    titan("export", tmp_path / "out.json")
    ended = titan("import", "--json", tmp_path / "out.json")
    assert json.loads(ended.out)["summary"] == {"taken": 0, "changed": 0, "skipped": 23, "refused": 0}


def test_each_document_has_a_line_on_standard_output(titan, filled):
    ended = titan("export", "-")
    assert ended.code == 0
    assert len(ended.out.splitlines()) == 23 + 6  # and two for each section
    assert json.loads(ended.out) == json.loads(EXAMPLE.read_text())


def test_chosen_ids_only(titan, filled):
    environment = json.loads(EXAMPLE.read_text())
    shell, concept = environment["assetAdministrationShells"][1], environment["conceptDescriptions"][0]
    ended = titan("export", "-", "--id", concept["id"], "--id", shell["id"], "--id", shell["id"])
    assert ended.code == 0
    assert json.loads(ended.out) == {"assetAdministrationShells": [shell], "conceptDescriptions": [concept]}


def test_an_unknown_id_is_named_and_nothing_is_written(titan, filled, tmp_path):
    ended = titan("export", tmp_path / "out.json", "--id", "nobody\x1b[2J", "--id", "nowhere")
    assert ended.code == 1
    assert ended.err.splitlines() == [
        "Error: there is no document with the id nobody\\x1b[2J",
        "there is no document with the id nowhere",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_an_empty_store_is_an_empty_environment(titan, data_dir):
    assert titan("export", "-", data_dir=data_dir).out == "{}\n"


def test_a_file_that_exists_is_overwritten_only_when_asked_to_and_stays_private(titan, filled, tmp_path):
    out = tmp_path / "out.json"
    out.write_text("mine")
    out.chmod(0o600)
    refused = titan("export", out)
    assert refused.code == 2
    assert "--force" in refused.err
    assert out.read_text() == "mine"
    assert titan("export", out, "--force").code == 0
    assert out.read_text() != "mine"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_symbolic_link_is_followed_and_stays_one(titan, filled, tmp_path):
    (tmp_path / "real.json").touch()
    (tmp_path / "link.json").symlink_to("real.json")
    assert titan("export", tmp_path / "link.json", "--force").code == 0
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").stat().st_size > 0


def test_what_is_no_regular_file_is_never_replaced(titan, filled, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path, tmp_path / "pipe", "/dev/null"):
        ended = titan("export", target, "--force")
        assert ended.code == 2
        assert "no regular file" in ended.err


def test_a_folder_that_is_not_there_is_one_line(titan, filled, tmp_path):
    ended = titan("export", tmp_path / "nowhere" / "out.json")
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 1
    assert "No such file or directory" in ended.err


@pytest.mark.parametrize("arguments", [["out.xml"], ["out.aasx"], ["out.json", "--format", "aasx"]])
def test_formats_that_come_later_are_refused(titan, filled, tmp_path, arguments):
    ended = titan("export", tmp_path / arguments[0], *arguments[1:])
    assert ended.code == 2
    assert "comes in a later version" in ended.err


def test_without_a_store_none_is_made(titan, tmp_path):
    ended = titan("export", "-", data_dir=tmp_path / "data")
    assert ended.code == 1
    assert "there is no store at" in ended.err
    assert not (tmp_path / "data").exists()


def test_no_room_for_the_file_is_one_line_and_leaves_nothing_behind(titan, data_dir, tmp_path):
    blob = {"modelType": "Blob", "idShort": "Big", "value": "A" * 4_000_000}
    (tmp_path / "in.json").write_text(json.dumps(SUBMODEL | {"submodelElements": [blob]}))
    assert titan("import", tmp_path / "in.json", data_dir=data_dir).code == 0
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "titan", "export", tmp_path / "out" / "out.json"],
        env=clean_environment({"TITAN_DATA_DIR": str(data_dir)}),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: cannot write {tmp_path}/out/out.json: File too large\n"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_reader_that_goes_away_is_no_traceback(titan, data_dir, tmp_path):
    submodels = [SUBMODEL | {"id": f"{number}{'x' * 1000}"} for number in range(500)]
    (tmp_path / "in.json").write_text(json.dumps({"submodels": submodels}))
    assert titan("import", tmp_path / "in.json", data_dir=data_dir).code == 0
    with subprocess.Popen(
        [sys.executable, "-m", "titan", "export", "-"],
        env=clean_environment({"TITAN_DATA_DIR": str(data_dir)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b'{"submodels":[\n'
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (1, b"")
