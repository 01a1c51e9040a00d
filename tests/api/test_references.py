"""Lists of references: the ids of a list's documents, with its filters and pages, and nothing more of them."""

import pytest

from tests.support.documents import prop, reference, shell, submodel

KINDS = pytest.mark.parametrize(
    ("path", "make", "key"), [("/shells", shell, "AssetAdministrationShell"), ("/submodels", submodel, "Submodel")]
)


def pointing(key: str, *ids: str) -> list[dict[str, object]]:
    return [reference(each, key) for each in ids]


@KINDS
async def test_pages_of_references_lead_to_every_document(client, path, make, key):
    for name in "abc":
        await client("POST", path, make(name))
    first = await client("GET", f"{path}/$reference?limit=2")
    assert first.json["result"] == pointing(key, "a", "b")
    cursor = first.json["paging_metadata"]["cursor"]
    last = await client("GET", f"{path}/$reference?limit=2&cursor={cursor}")
    assert last.json == {"paging_metadata": {}, "result": pointing(key, "c")}
    other = await client("GET", f"{path}?limit=2&cursor={cursor}")
    assert other.status == 400  # a cursor of another list


@KINDS
async def test_the_lists_filters_hold(client, path, make, key):
    await client("POST", path, make("a", idShort="Wanted"))
    await client("POST", path, make("b", idShort="Other"))
    assert (await client("GET", f"{path}/$reference?idShort=Wanted")).json["result"] == pointing(key, "a")


async def test_nothing_of_a_document_is_told(client):
    await client("POST", "/submodels", submodel("a", submodelElements=[prop("Secret")]))
    answer = await client("GET", "/submodels/$reference?level=core")
    assert b"Secret" not in answer.body
