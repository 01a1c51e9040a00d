"""Real events are what the schema says, and its examples and pages say the same."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import trio

from tests.bench.twins import submodel
from tests.support.documents import shell
from tests.support.events import following
from tests.support.server import serving
from titan.events.cloudevent import TYPES, make_event
from titan.events.endpoint import WHY
from titan.events.schema import EXAMPLES, SCHEMA
from titan.model.identifiers import encode_identifier
from titan.store.contract import Change, ChangeType, Kind

PAGE = (Path(__file__).parents[2] / "deploy/events.md").read_text()
VALID = jsonschema.Draft202012Validator(SCHEMA)
HOSTILE = 'urn:"\\\n\r\u2028\x7f</script>'


def test_the_schema_is_one_and_its_examples_are_events():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for example in EXAMPLES:
        VALID.validate(example)
    assert {example["type"] for example in EXAMPLES} <= set(TYPES)


@pytest.mark.parametrize("wrong", [{"type": "io.titan-aas.shell.moved"}, {"idshortpath": "A"}, {"revision": 7}])
def test_it_refuses_what_is_none(wrong):
    assert not VALID.is_valid(EXAMPLES[0] | wrong)


def test_every_attribute_and_reason_is_on_the_page():
    documented = set(re.findall(r"`([a-z]+)`", PAGE))
    assert set(SCHEMA["properties"]) - {"specversion", "datacontenttype"} <= documented
    assert set(WHY) <= documented


def make_changes(url: str) -> tuple[str, dict[str, Any]]:
    """Make four changes; return the entity tag and the content of the third."""
    small, large = shell("urn:small"), submodel("urn:large", 70_000)
    assert httpx.post(f"{url}/shells", json=small).status_code == 201
    json_type = {"Content-Type": "application/json"}
    assert httpx.post(f"{url}/submodels", content=large, headers=json_type).status_code == 201
    path = f"{url}/shells/{encode_identifier('urn:small')}"
    changed = httpx.put(path, json=small | {"idShort": "Changed"})
    assert changed.status_code == 204
    content = httpx.get(path).json()
    assert httpx.delete(path).status_code == 204
    return changed.headers["ETag"].strip('"'), content


async def test_real_events_are_as_it_says(tmp_path):
    with serving(tmp_path / "data") as server:
        async with following(server.url) as client:
            tag, content = await trio.to_thread.run_sync(make_changes, server.url)
            events = await client.events(4)
        schema = await trio.to_thread.run_sync(httpx.get, f"{server.url}/events/schema.json")
    assert schema.json() == SCHEMA
    for event in events:
        VALID.validate(event)
        assert datetime.fromisoformat(event["time"]).tzinfo is not None
    assert "data" not in events[1], "a large document is not carried"
    assert events[2].get("data", content) == content
    assert tag.startswith(events[2]["revision"])
    assert len({event["id"] for event in events}) == 4
    assert len({event["source"] for event in events}) == 1
    assert [event["type"] for event in events] == [
        "io.titan-aas.shell.created",
        "io.titan-aas.submodel.created",
        "io.titan-aas.shell.updated",
        "io.titan-aas.shell.deleted",
    ]


def test_whatever_an_id_or_a_content_holds_an_event_is_one_block():
    change = Change(7, Kind.SHELL, HOSTILE, ChangeType.CREATED, 1_000, 7, "cursor")
    event = make_event(change, "urn:titan-aas:x", b'{\n"a":\r\n"b\\n"}')
    assert event.sse.count(b"\n") == 3
    assert b"\r" not in event.sse
    told = json.loads(event.json)
    VALID.validate(told)
    assert told["subject"] == HOSTILE
    assert told["data"] == {"a": "b\n"}
