"""List, create, read, replace, delete: statuses, headers and bodies as the standard says."""

import pytest

from tests.support.client import Client, url
from tests.support.documents import blob, collection, concept_description, prop, shell, submodel

KINDS = [
    pytest.param("/shells", shell, id="shells"),
    pytest.param("/submodels", submodel, id="submodels"),
    pytest.param("/concept-descriptions", concept_description, id="concept-descriptions"),
]


@pytest.mark.parametrize(("path", "make"), KINDS)
async def test_a_document_lives_from_post_to_delete(client, path, make):
    one = url(path, "urn:example:1")
    created = await client("POST", path, make("urn:example:1"))
    assert (created.status, created.json) == (201, make("urn:example:1"))
    assert created.headers["location"] == one

    read = await client("GET", one)
    assert (read.status, read.json) == (200, make("urn:example:1"))
    assert read.headers["etag"] == created.headers["etag"]

    changed = make("urn:example:1", idShort="changed")
    replaced = await client("PUT", one, changed)
    assert (replaced.status, replaced.body, replaced.response.media_type) == (204, b"", None)
    assert replaced.headers["etag"] != created.headers["etag"]
    assert (await client("GET", one)).json == changed

    assert (await client("DELETE", one)).status == 204
    assert (await client("GET", one)).status == 404
    assert (await client("DELETE", one)).status == 404


@pytest.mark.parametrize(("path", "make"), KINDS)
async def test_put_creates_with_location_and_body(client, path, make):
    created = await client("PUT", url(path, "urn:example:1"), make("urn:example:1"))
    assert (created.status, created.json) == (201, make("urn:example:1"))
    assert created.headers["location"] == url(path, "urn:example:1")


async def test_location_begins_where_the_api_is_mounted(services):
    created = await Client(services, base="/api/v3.1")("POST", "/shells", shell("x"))
    assert created.headers["location"] == url("/api/v3.1/shells", "x")


@pytest.mark.parametrize(("path", "make"), KINDS)
async def test_post_of_a_known_id_conflicts(client, path, make):
    await client("POST", path, make())
    again = await client("POST", path, make())
    assert again.status == 409
    assert again.json["messages"][0]["code"] == "ClientResourceConflict"
    assert again.json["messages"][0]["correlationId"] == "r-1"


async def test_put_of_another_id_than_the_path_is_refused_and_writes_nothing(client):
    refused = await client("PUT", url("/shells", "a"), shell("b"))
    assert refused.status == 400
    assert refused.texts[0].startswith("id: ")
    assert (await client("GET", "/shells")).json["result"] == []


async def test_pages_follow_cursors_to_the_end(client):
    for number in range(5):
        await client("POST", "/shells", shell(f"urn:{number}"))
    found, cursor = [], ""
    while True:
        page = (await client("GET", f"/shells?limit=2{cursor}")).json
        found += [item["id"] for item in page["result"]]
        if "cursor" not in page["paging_metadata"]:
            break
        cursor = f"&cursor={page['paging_metadata']['cursor']}"
    assert found == [f"urn:{number}" for number in range(5)]


async def test_blob_values_come_only_when_asked_for(client):
    document = submodel("s", submodelElements=[collection("Group", blob(value="QUJD"), prop())])
    assert (await client("POST", "/submodels", document)).json == document
    assert (await client("GET", url("/submodels", "s") + "?extent=withBlobValue")).json == document
    for query in ("", "?extent=withoutBlobValue"):
        bare = (await client("GET", url("/submodels", "s") + query)).json
        assert "value" not in bare["submodelElements"][0]["value"][0]
        assert bare["submodelElements"][0]["value"][1] == prop()


async def test_core_leaves_out_what_containers_contain(client):
    document = submodel("s", submodelElements=[collection("Group", prop()), prop("Other")])
    await client("POST", "/submodels", document)
    core = submodel(
        "s", submodelElements=[{"modelType": "SubmodelElementCollection", "idShort": "Group"}, prop("Other")]
    )
    assert (await client("GET", url("/submodels", "s") + "?level=core")).json == core
    assert (await client("GET", "/submodels?level=core")).json["result"] == [core]
