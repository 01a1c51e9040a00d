"""Every published template goes in leniently, each into a fresh store, and comes back equal.

Equality is that of each identifiable as JSON, nothing added or lost, the order of members aside. What an Environment
has beside its identifiables is not kept, because no server has an Environment: that a section is there but empty, and
the order of the documents.
"""

import json
from collections import defaultdict
from typing import Any

import httpx
import pytest

from tests.support.server import Server, serving
from tests.support.shared import SHARED, shared, shared_names
from titan.model.identifiers import encode_identifier

TEMPLATES = shared_names("data/templates", "*.json") + shared_names("data", "*.json")
Documents = dict[tuple[str, str], Any]
PATHS = {
    "assetAdministrationShells": "/shells",
    "submodels": "/submodels",
    "conceptDescriptions": "/concept-descriptions",
}


def by_content(names: list[str]) -> dict[bytes, str]:
    """Keep one name of files with the same bytes: many templates are published under two names (44 files, 30 texts)."""
    paths = {name: SHARED / name for name in names}
    return {path.read_bytes() if path.exists() else name.encode(): name for name, path in paths.items()}


def documents(environment: dict[str, list[Any]]) -> tuple[Documents, int]:
    """Return the first document of each id, by section, and how many others have its id and other content."""
    given = defaultdict(list)
    for section, items in environment.items():
        for item in items:
            given[section, item["id"]].append(item)
    others = sum(item != items[0] for items in given.values() for item in items)
    return {key: items[0] for key, items in given.items()}, others


def read_over_http(server: Server) -> Documents:
    """Read every document by itself and in the list of its kind, which must say the same."""
    found: Documents = {}
    with httpx.Client(base_url=server.url) as client:
        for section, path in PATHS.items():
            client.params = {"extent": "withBlobValue"} if section == "submodels" else {}
            page = client.get(path, params={"limit": 1000}).raise_for_status().json()
            assert "cursor" not in page["paging_metadata"]
            for item in page["result"]:
                one = client.get(f"{path}/{encode_identifier(item['id'])}").raise_for_status().json()
                assert one == item
                found[section, item["id"]] = item
    return found


@pytest.mark.parametrize("name", by_content(TEMPLATES).values())
def test_every_template_comes_back_equal_over_http_and_by_export(titan, data_dir, name):
    path = shared(name)
    expected, others = documents(json.loads(path.read_text()))
    with serving(data_dir) as server:  # the import works beside it
        ended = titan("import", "--lenient", "--json", path, data_dir=data_dir)
        report = json.loads(ended.out)
        assert ended.code == (1 if others else 0)
        assert report["summary"]["taken"] == len(expected)
        assert report["summary"]["refused"] == others
        assert all("given twice" in row["reason"] for row in report["documents"] if row["status"] == "refused")
        assert read_over_http(server) == expected
        exported, _ = documents(json.loads(titan("export", "-").out))
        assert exported == expected


def test_five_of_the_templates_give_an_id_twice_with_other_content():
    counts = [documents(json.loads(shared(name).read_text()))[1] for name in TEMPLATES]
    assert (len(counts), sum(count > 0 for count in counts)) == (46, 5)
