"""`titan import` beside a running server on the same store: both write, nobody waits long, nothing is lost."""

import json
import subprocess
import sys
import threading

import httpx

from tests.cli import stores
from tests.cli.hostile import SUBMODEL
from tests.support.server import clean_environment, serving
from titan.model.identifiers import encode_identifier

COUNT = 3000


def test_both_write_at_once_and_nothing_is_lost(titan, data_dir, tmp_path):
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"submodels": [SUBMODEL | {"id": f"imported/{number}"} for number in range(COUNT)]}))
    statuses: list[int] = []
    slowest_s = 0.0
    is_posting, is_over = threading.Event(), threading.Event()
    with serving(data_dir) as server:

        def post() -> None:
            nonlocal slowest_s
            with httpx.Client(base_url=server.url) as client:
                while not is_over.is_set():
                    answer = client.post("/submodels", json=SUBMODEL | {"id": f"posted/{len(statuses)}"})
                    statuses.append(answer.status_code)
                    is_posting.set()
                    slowest_s = max(slowest_s, answer.elapsed.total_seconds())

        poster = threading.Thread(target=post)
        poster.start()
        try:
            assert is_posting.wait(30)
            before = len(statuses)
            ended = titan("import", "--json", path, data_dir=data_dir)
            assert len(statuses) > before  # else they did not write at once
        finally:
            is_over.set()
            poster.join(30)
        assert ended.code == 0
        assert json.loads(ended.out)["summary"]["taken"] == COUNT
        assert set(statuses) == {201}
        assert slowest_s < 1.8  # a request's budget
        there = [change.id for change in stores.changes(data_dir)]
        assert sorted(there) == sorted(
            [f"imported/{number}" for number in range(COUNT)] + [f"posted/{number}" for number in range(len(statuses))]
        )


def test_the_server_serves_what_was_imported_at_once(titan, data_dir, tmp_path):
    path = tmp_path / "one.json"
    with serving(data_dir) as server, httpx.Client(base_url=server.url) as client:
        where = f"/submodels/{encode_identifier(SUBMODEL['id'])}"
        tags = []
        for id_short in ("One", "Two", "Two"):
            path.write_text(json.dumps(SUBMODEL | {"idShort": id_short}))
            assert titan("import", "--replace", path, data_dir=data_dir).code == 0
            answer = client.get(where)
            assert answer.json() == SUBMODEL | {"idShort": id_short}
            tags.append(answer.headers["ETag"])
        assert tags[0] != tags[1] == tags[2]


def test_two_imports_of_the_same_file_at_once_take_each_document_once(data_dir, tmp_path):
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"submodels": [SUBMODEL | {"id": f"imported/{number}"} for number in range(COUNT)]}))
    environment = clean_environment({"TITAN_DATA_DIR": str(data_dir)})
    command = [sys.executable, "-m", "titan", "import", "--json", path]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    summaries = [json.loads(process.communicate(timeout=60)[0])["summary"] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(summary["taken"] for summary in summaries) == COUNT
    assert sum(summary["skipped"] for summary in summaries) == COUNT
    assert all(summary["refused"] == summary["changed"] == 0 for summary in summaries)
    assert len(stores.changes(data_dir)) == COUNT
