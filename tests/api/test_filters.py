"""Lists find what the filters name, in every encoding that clients use, page by page."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.documents import concept_description, reference, shell, submodel
from titan.api.services import PageSizes, Services


def encoded(value: Any, *, indent: int | None = None) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, indent=indent).encode()).rstrip(b"=").decode()


async def ids(client: Client, url: str) -> list[str]:
    answer = await client("GET", url)
    assert answer.status == 200, answer.body
    return [item["id"] for item in answer.json["result"]]


def asset(name: str, value: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "value": value, **members}


@pytest.fixture
async def shells(client):
    acme, other = reference("urn:acme"), reference("urn:other")
    documents = [
        shell("a", idShort="Pump"),
        shell("b", idShort="Pump"),
        shell("c", idShort="pump"),
    ]
    documents[0]["assetInformation"]["specificAssetIds"] = [asset("serial", "1"), asset("batch", "x")]
    documents[1]["assetInformation"]["specificAssetIds"] = [asset("serial", "1", externalSubjectId=acme)]
    documents[2]["assetInformation"]["specificAssetIds"] = [asset("serial", "1", externalSubjectId=other)]
    for document in documents:
        assert (await client("POST", "/shells", document)).status == 201
    return client


async def test_id_short_is_case_sensitive(shells):
    assert await ids(shells, "/shells?idShort=Pump") == ["a", "b"]
    assert await ids(shells, "/shells?idShort=pump") == ["c"]
    assert await ids(shells, "/shells?idShort=none") == []


async def test_asset_ids_in_every_encoding(shells):
    serial, batch = asset("serial", "1"), asset("batch", "x")
    for query in (
        f"assetIds={encoded(serial)}&assetIds={encoded(batch)}",
        f"assetIds={encoded(batch)}&assetIds={encoded(serial)}",
        f"assetIds={encoded(serial)},{encoded(batch)}",
        f"assetIds={encoded([serial, batch])}",
        f"assetIds={encoded([serial, batch], indent=2)}",
    ):
        assert await ids(shells, f"/shells?{query}") == ["a"]
    assert await ids(shells, f"/shells?assetIds={encoded(serial)}") == ["a", "b", "c"]
    assert await ids(shells, f"/shells?assetIds={encoded(serial)}&idShort=pump") == ["c"]


async def test_the_global_asset_id_is_asked_for_by_its_name(shells):
    assert await ids(shells, f"/shells?assetIds={encoded(asset('globalAssetId', 'b:asset'))}") == ["b"]
    assert await ids(shells, f"/shells?assetIds={encoded(asset('globalAssetId', 'b'))}") == []


async def test_an_external_subject_narrows(shells):
    wanted = asset("serial", "1", externalSubjectId=reference("urn:acme"))
    assert await ids(shells, f"/shells?assetIds={encoded(wanted)}") == ["b"]


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"name": "serial"},
        {"name": 1, "value": "1"},
        {"name": "serial", "value": "1", "x": 1},
        "serial",
        [[]],
        {"name": "serial", "value": "1", "semanticId": reference()},
    ],
)
async def test_what_is_no_asset_id_is_refused(client, value):
    answer = await client("GET", f"/shells?assetIds={encoded(value)}")
    assert answer.status == 400
    assert "assetIds" in answer.texts[0]


async def test_semantic_ids_are_found_as_main_and_as_supplemental(client):
    await client("POST", "/submodels", submodel("main", semanticId=reference("urn:x")))
    await client(
        "POST",
        "/submodels",
        submodel("more", semanticId=reference("urn:y"), supplementalSemanticIds=[reference("urn:x")]),
    )
    await client(
        "POST",
        "/submodels",
        submodel("referred", semanticId=reference("urn:x") | {"referredSemanticId": reference("urn:z")}),
    )
    await client("POST", "/submodels", submodel("model", semanticId=reference("urn:x", "ConceptDescription")))
    wanted = ["main", "more", "referred"]
    assert await ids(client, f"/submodels?semanticId={encoded(reference('urn:x'))}") == wanted
    reordered = dict(reversed(reference("urn:x").items()))
    assert await ids(client, f"/submodels?semanticId={encoded(reordered, indent=4)}") == wanted
    assert await ids(client, f"/submodels?semanticId={encoded(reference('urn:x', 'ConceptDescription'))}") == ["model"]


async def test_concept_descriptions_by_case_and_data_specification(client):
    specification = {
        "dataSpecification": reference("urn:spec"),
        "dataSpecificationContent": {
            "modelType": "DataSpecificationIec61360",
            "preferredName": [{"language": "en", "text": "A"}],
            "definition": [{"language": "en", "text": "A"}],
        },
    }
    await client(
        "POST", "/concept-descriptions", concept_description("a", isCaseOf=[reference("urn:1"), reference("urn:2")])
    )
    await client("POST", "/concept-descriptions", concept_description("b", embeddedDataSpecifications=[specification]))
    for name, value, found in (
        ("isCaseOf", "urn:2", ["a"]),
        ("isCaseOf", "urn:spec", []),
        ("dataSpecificationRef", "urn:spec", ["b"]),
        ("dataSpecificationRef", "urn:2", []),
    ):
        assert await ids(client, f"/concept-descriptions?{name}={encoded(reference(value))}") == found


@pytest.mark.parametrize(
    "text", ["", "!!", encoded("x"), encoded({}), encoded([reference()]), "A" * 3073, encoded({"keys": []})]
)
async def test_what_is_no_reference_is_refused(client, text):
    answer = await client("GET", f"/submodels?semanticId={text}")
    assert answer.status == 400
    assert "semanticId" in answer.texts[0]


async def test_a_changed_document_is_found_by_what_it_says_now(client):
    await client("POST", "/shells", shell("a", idShort="Before"))
    await client("PUT", "/shells/YQ", shell("a", idShort="After"))
    assert await ids(client, "/shells?idShort=Before") == []
    assert await ids(client, "/shells?idShort=After") == ["a"]
    await client("DELETE", "/shells/YQ")
    assert await ids(client, "/shells?idShort=After") == []


async def test_a_cursor_belongs_to_its_list_and_filters(shells):
    first = (await shells("GET", "/shells?limit=1&idShort=Pump")).json
    cursor = first["paging_metadata"]["cursor"]
    assert await ids(shells, f"/shells?limit=5&idShort=Pump&cursor={cursor}") == ["b"]
    for url in (
        f"/shells?cursor={cursor}",
        f"/shells?idShort=pump&cursor={cursor}",
        f"/submodels?idShort=Pump&cursor={cursor}",
        f"/shells?idShort=Pump&cursor={cursor[:-1]}",
        f"/shells?idShort=Pump&cursor={cursor}A",
        f"/shells?idShort=Pump&cursor={cursor}=",
        f"/shells?idShort=Pump&cursor={cursor.swapcase()}",
    ):
        answer = await shells("GET", url)
        assert answer.status == 400
        assert "cursor" in answer.texts[0]


async def test_no_bit_of_a_cursor_may_change(shells):
    cursor = (await shells("GET", "/shells?limit=1")).json["paging_metadata"]["cursor"]
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        text = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        assert (await shells("GET", f"/shells?cursor={text}")).status == 400


async def test_writing_while_paging_neither_repeats_nor_skips_what_stays(client):
    for number in range(6):
        await client("POST", "/shells", shell(f"urn:{number}"))
    page = (await client("GET", "/shells?limit=2")).json
    await client("DELETE", "/shells/dXJuOjE")  # urn:1, on the first page
    await client("PUT", "/shells/dXJuOjM", shell("urn:3", idShort="changed"))
    await client("POST", "/shells", shell("urn:new"))
    cursor = page["paging_metadata"]["cursor"]
    rest = await ids(client, f"/shells?limit=100&cursor={cursor}")
    assert rest == ["urn:2", "urn:3", "urn:4", "urn:5", "urn:new"]


async def test_the_sizes_of_pages_are_settings(services):
    client = Client(replace(services, page_sizes=PageSizes(default=2, most=3)))
    for number in range(4):
        await client("POST", "/shells", shell(f"urn:{number}"))
    assert await ids(client, "/shells") == ["urn:0", "urn:1"]
    assert len(await ids(client, "/shells?limit=3")) == 3
    refused = await client("GET", "/shells?limit=4")
    assert (refused.status, refused.texts) == (400, ["query parameter 'limit' must be a number from 1 to 3"])


async def test_lenient_takes_what_breaks_constraints_and_strict_does_not(services):
    broken = submodel("s", submodelElements=[])
    assert (await Client(services)("POST", "/submodels", broken)).status == 400
    lenient = Client(Services(services.store, lenient=True))
    created = await lenient("POST", "/submodels", broken)
    assert (created.status, created.json) == (201, broken)
    assert (await lenient("POST", "/submodels", submodel("t", colour="red"))).status == 400
