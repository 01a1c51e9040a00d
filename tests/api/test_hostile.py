"""Hostile requests end in a refusal that names what is wrong: never in an exception, never in a write."""

import base64
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.client import url
from tests.support.documents import complete_submodel, prop, submodel
from titan.api.call import Call
from titan.api.dispatch import read_call
from titan.api.messages import Request, Response
from titan.api.operations import OPERATIONS
from titan.api.services import PageSizes
from titan.model.identifiers import encode_identifier, identifier_fault

BUILT = [row for row in OPERATIONS if row.handler]

words = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["1", "-1", "0", "core", "deep", "*", '"7"', 'W/"7"', "e30", "W10", "bnVsbA", "application/json"]),
    st.binary(max_size=20).map(lambda raw: base64.urlsafe_b64encode(raw).decode()),
)
names = st.one_of(st.sampled_from(["limit", "cursor", "level", "extent", "idShort", "assetIds", "semanticId"]), words)
fields = st.sampled_from(["if-match", "if-none-match", "accept", "content-type", "idempotency-key", "x"])


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(BUILT),
    words,
    st.lists(st.tuples(names, words), max_size=4),
    st.dictionaries(fields, words, max_size=4),
    st.binary(max_size=10),
)
def test_whatever_a_request_says_it_is_read_or_refused(operation, segment, query, headers, body):
    path = {name: segment for name in ("aasIdentifier", "submodelIdentifier", "cdIdentifier") if name in operation.path}
    call = read_call(operation, Request(path, tuple(query), headers, body, request_id="r"), PageSizes())
    if isinstance(call, Response):
        assert 400 <= call.status < 500
        assert isinstance(call.body, bytes)
        assert all(message["text"] for message in json.loads(call.body)["messages"])
    else:
        assert isinstance(call, Call)
        assert 1 <= call.query.limit <= 1000
        assert all(identifier_fault(identifier) is None for identifier in call.path.values())


BODIES = [
    b"\xff",
    b"[" * 100_000,
    b"null",
    b"[]",
    b"5",
    b'"x"',
    b'{"id":NaN}',
    b'{"id":1e400}',
    b'{"id":' + b"9" * 5000 + b"}",
    b'{"id":"\\ud800"}',
    b'{"id":"\\u0000"}',
    b'{"id":"a","id":"b","modelType":"Submodel"}',
    b'{"modelType":"Submodel","id":""}',
    b'{"modelType":"Submodel","id":"\\u0001"}',
    json.dumps(submodel("x" * 2049)).encode(),
    json.dumps(submodel("s", submodelElements=[prop("a" * 100_000 + "!")])).encode(),
    json.dumps(submodel("s", submodelElements=[prop("ok", "0" * 5000)])).encode(),
    json.dumps(submodel("s", submodelElements=[prop("ok", "9" * 5000) | {"valueType": "xs:date"}])).encode(),
    json.dumps(
        submodel(
            "s",
            submodelElements=[
                prop(f"p{n}", "http://" + "a-" * 900 + " ") | {"valueType": "xs:anyURI"} for n in range(500)
            ],
        )
    ).encode(),
    json.dumps(
        submodel("s", submodelElements=[prop("ok") | {"displayName": [{"language": "x-a" * 100_000, "text": "t"}]}])
    ).encode(),
    json.dumps(submodel("s", submodelElements=[{"modelType": "Blob", "idShort": "ok", "value": "é"}])).encode(),
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_a_hostile_body_is_refused_soon_and_leaves_no_trace(client, body):
    begin = time.process_time()
    refused = await client("POST", "/submodels", body)
    took = time.process_time() - begin
    assert refused.status == 400
    assert refused.texts
    assert len(refused.body) < 100_000
    assert took < 1.0
    assert (await client("GET", "/submodels")).json["result"] == []


async def test_a_failed_put_leaves_what_was_there(client):
    document = complete_submodel()
    await client("POST", "/submodels", document)
    one = url("/submodels", document["id"])
    for body in (b"{", json.dumps(document | {"x": 1}).encode(), json.dumps(document | {"id": "other"}).encode()):
        assert (await client("PUT", one, body)).status == 400
    assert (await client("GET", f"{one}?extent=withBlobValue")).json == document


async def test_identifiers_that_look_like_paths_are_just_identifiers(client):
    for identifier in ("../../etc/passwd", "a/b", "%2e%2e", "$value", "$reference", "*", "\t", "😀" * 2048):
        assert (await client("POST", "/submodels", submodel(identifier))).status == 201
        assert (await client("GET", f"/submodels/{encode_identifier(identifier)}")).json == submodel(identifier)
    assert len((await client("GET", "/submodels")).json["result"]) == 8
