"""What is wrong with a request is named, in the standard's `Result`."""

import re

import pytest

from tests.support.client import Answer, url
from tests.support.documents import shell, submodel

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def is_result(answer: Answer, status: int, code: str) -> list[str]:
    assert answer.status == status, answer.body
    assert answer.response.media_type == "application/json"
    messages = answer.json["messages"]
    assert messages
    for message in messages:
        assert set(message) == {"code", "correlationId", "messageType", "text", "timestamp"}
        assert message["code"] == code
        assert TIMESTAMP.fullmatch(message["timestamp"])
    return answer.texts


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1001", "limit"),
        ("limit=1000000000000000000000", "limit"),
        ("limit=", "limit"),
        ("limit=1.0", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=1&limit=1", "limit"),
        ("cursor=", "cursor"),
        ("cursor=abc", "cursor"),
        ("colour=red", "colour"),
        ("assetids=e30", "assetids"),
        ("idShort=", "idShort"),
        ("assetIds=e30", "assetIds"),
        ("assetIds=!!", "assetIds"),
        ("assetIds=bm9qc29u", "assetIds"),
        ("level=core", "level"),
    ],
)
async def test_a_wrong_query_parameter_is_named(client, query, named):
    texts = is_result(await client("GET", f"/shells?{query}"), 400, "ClientErrorBadRequest")
    assert repr(named) in texts[0]


async def test_all_wrong_query_parameters_are_named_at_once(client):
    texts = is_result(
        await client("GET", "/submodels?level=flat&extent=all&x=1&limit=no"), 400, "ClientErrorBadRequest"
    )
    assert [re.findall(r"'(\w+)'", text)[0] for text in texts] == ["level", "extent", "x", "limit"]


async def test_an_operation_that_is_not_offered_says_so(client):
    texts = is_result(await client("GET", "/submodels/$value"), 501, "ServerNotImplemented")
    assert "GetAllSubmodels-ValueOnly" in texts[0]


async def test_unknown_paths_and_methods(client):
    is_result(await client("GET", "/no/such/path"), 404, "ClientErrorResourceNotFound")
    wrong = await client("PATCH", "/shells")
    is_result(wrong, 405, "ClientMethodNotAllowed")
    assert wrong.headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/json; charset=utf-16"])
async def test_a_body_that_is_not_json_is_not_taken(client, content_type):
    refused = await client("POST", "/shells", shell(), content_type=content_type)
    is_result(refused, 415, "ClientUnsupportedMediaType")


@pytest.mark.parametrize("content_type", ["application/json", 'Application/JSON; charset="UTF-8"', "application/json;"])
async def test_a_body_that_is_json_is_taken(client, content_type):
    assert (await client("POST", "/shells", shell(), content_type=content_type)).status == 201


async def test_a_missing_body_is_named(client):
    is_result(await client("POST", "/shells", b""), 400, "ClientErrorBadRequest")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/*;q=0.5, text/html", 200),
        ("text/html,application/xhtml+xml,*/*;q=0.8", 200),
        ("application/xml", 406),
        ("application/json;q=0, */*", 406),
    ],
)
async def test_accept(client, accept, status):
    assert (await client("GET", "/shells", accept=accept)).status == status


async def test_strict_verification_names_every_violation_with_its_path(client):
    document = submodel(
        "s",
        submodelElements=[
            {"modelType": "Property", "idShort": "0", "valueType": "xs:int", "value": "1"},
            {"modelType": "Property", "idShort": "ok", "valueType": "xs:int", "value": "x"},
        ],
    )
    texts = is_result(await client("POST", "/submodels", document), 400, "ClientErrorBadRequest")
    assert [text.partition(": ")[0] for text in texts] == ["submodelElements[0].idShort", "submodelElements[1]"]


@pytest.mark.parametrize("segment", ["YW!Jj", "YWJjZA=", "YWJjZB", "YWJj=", "_w", "AA", "%20YWJj", "A" * 20000])
async def test_a_path_that_is_no_identifier_is_refused(client, segment):
    texts = is_result(await client("GET", f"/shells/{segment}"), 400, "ClientErrorBadRequest")
    assert "aasIdentifier" in texts[0]


async def test_padding_is_tolerated_and_leads_to_the_same_document(client):
    await client("POST", "/shells", shell("abcd"))
    assert (await client("GET", "/shells/YWJjZA==")).json == (await client("GET", url("/shells", "abcd"))).json
