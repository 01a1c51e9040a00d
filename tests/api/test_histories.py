"""Any history of calls leaves what a plain dictionary would hold, and every answer says so."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.client import Answer, Client, url
from tests.support.documents import Json, blob, prop, submodel
from tests.support.sqlite_files import fresh_database
from titan.api.services import Services
from titan.store.sqlite.store import open_sqlite_store

IDS = ["a", "b", "urn:c/d?e#f", "😀"]
BODIES: list[Json] = [
    {},
    {"idShort": "Pump"},
    {"submodelElements": [prop(), blob()]},
    {"idShort": "Fan", "submodelElements": [prop("Other", "8")]},
]
TAGS = ["none", "current", "stale", "any"]

calls = st.tuples(
    st.sampled_from(["POST", "PUT", "PUT", "DELETE", "GET"]),
    st.sampled_from(IDS),
    st.sampled_from(BODIES),
    st.sampled_from(TAGS),
)


@dataclass
class Model:
    """What must be there: by id, in order of creation, the document and its tag."""

    documents: dict[str, tuple[Json, str]] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)

    def precondition(self, identifier: str, tag: str) -> tuple[dict[str, str], bool]:
        """Return the header for a kind of tag, and whether it holds."""
        current = self.documents.get(identifier)
        match tag:
            case "none":
                return {}, True
            case "any":
                return {"if_match": "*"}, current is not None
            case "current" if current is not None:
                return {"if_match": current[1]}, True
            case _:
                old = next((known for known in self.tags if current is None or known != current[1]), '"0"')
                return {"if_match": old}, False

    def keep(self, identifier: str, document: Json, answer: Answer) -> None:
        tag = answer.headers["etag"]
        assert tag not in self.tags, "a tag never comes twice"
        self.tags.add(tag)
        self.documents[identifier] = (document, tag)


async def play(client: Client, model: Model, history: list[tuple[Any, ...]]) -> None:
    for method, identifier, members, tag in history:
        match method:
            case "POST":
                await post(client, model, submodel(identifier, **members))
            case "PUT":
                await put(client, model, submodel(identifier, **members), tag)
            case "DELETE":
                await delete(client, model, identifier, tag)
            case "GET":
                await get(client, model, identifier)
    documents = [document for document, _ in model.documents.values()]
    assert await listed(client, "") == documents
    assert await listed(client, "&idShort=Pump") == [item for item in documents if item.get("idShort") == "Pump"]


async def post(client: Client, model: Model, document: Json) -> None:
    answer = await client("POST", "/submodels", document)
    known = document["id"] in model.documents
    assert answer.status == (409 if known else 201)
    if not known:
        model.keep(document["id"], document, answer)


async def put(client: Client, model: Model, document: Json, tag: str) -> None:
    headers, holds = model.precondition(document["id"], tag)
    known = document["id"] in model.documents
    answer = await client("PUT", url("/submodels", document["id"]), document, **headers)
    assert answer.status == ((204 if known else 201) if holds else 412)
    if holds:
        model.keep(document["id"], document, answer)


async def delete(client: Client, model: Model, identifier: str, tag: str) -> None:
    headers, holds = model.precondition(identifier, tag)
    answer = await client("DELETE", url("/submodels", identifier), **headers)
    known = identifier in model.documents  # a precondition counts only where there is something (RFC 9110 13.2.1)
    assert answer.status == ((204 if holds else 412) if known else 404)
    if answer.status == 204:
        del model.documents[identifier]


async def get(client: Client, model: Model, identifier: str) -> None:
    answer = await client("GET", url("/submodels", identifier) + "?extent=withBlobValue")
    known = model.documents.get(identifier)
    assert answer.status == (200 if known else 404)
    if known:
        assert (answer.json, answer.headers["etag"]) == known


async def listed(client: Client, query: str) -> list[Json]:
    found: list[Json] = []
    cursor = ""
    while True:
        page = (await client("GET", f"/submodels?limit=2&extent=withBlobValue{query}{cursor}")).json
        found += page["result"]
        if "cursor" not in page["paging_metadata"]:
            return found
        cursor = f"&cursor={page['paging_metadata']['cursor']}"


@settings(max_examples=30, deadline=None)
@given(st.lists(calls, min_size=5, max_size=40))
def test_any_history(history):
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with open_sqlite_store(fresh_database(Path(folder) / "titan.db")) as store:
                await play(Client(Services(store)), Model(), history)

    trio.run(run)
