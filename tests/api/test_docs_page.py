"""The page for people is complete, escaped, and runs and loads nothing."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from titan.api.docs_page import docs_page
from titan.api.operation import Operation, Right
from titan.api.operations import OPERATIONS


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.text = ""
        self.style = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data):
        if self.tags[-1:] == ["style"] and not self.style:
            self.style = data
        self.text += data


def read(operations=OPERATIONS, base="") -> tuple[Reader, str]:
    response = docs_page(operations, base)
    assert isinstance(response.body, bytes)
    reader = Reader()
    reader.feed(response.body.decode())
    return reader, dict(response.headers)["Content-Security-Policy"]


def test_every_operation_stands_on_it():
    reader, _ = read()
    assert reader.attributes["id"] == [row.operation_id for row in OPERATIONS if row.handler]
    for row in OPERATIONS:
        assert row.path in reader.text
        assert row.operation_id in reader.attributes["id"] or row.operation_id in reader.text


def test_it_loads_and_runs_nothing():
    reader, policy = read(base="/twins")
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(reader.tags)
    assert reader.attributes["href"] == ["/twins/openapi.json"]
    assert not [name for name in reader.attributes if name.startswith("on") or name in {"src", "style"}]
    digest = base64.b64encode(hashlib.sha256(reader.style.encode()).digest()).decode()
    assert re.findall(r"'sha256-([^']+)'", policy) == [digest]
    assert "unsafe" not in policy


def test_what_the_table_says_is_text():
    row = Operation("<b>&", "GET", "/<script>", "<i>", Right.READ)
    reader, _ = read((row,))
    assert "script" not in reader.tags
    assert "/<script>" in reader.text
