"""Every answer of the operations that are built fits the official OpenAPI files."""

import json
from typing import Any

import pytest

from tests.support.client import Client, url
from tests.support.documents import complete_concept_description, complete_shell, complete_submodel
from tests.support.forms import CONTENT_TYPE, file_form
from tests.support.official import check, check_schema, members
from tests.support.shared import shared
from titan.model.schemas import schemas_of

REPOSITORIES = [
    pytest.param("/shells", "aasIdentifier", complete_shell, id="shells"),
    pytest.param("/submodels", "submodelIdentifier", complete_submodel, id="submodels"),
    pytest.param("/concept-descriptions", "cdIdentifier", complete_concept_description, id="concept-descriptions"),
]


@pytest.mark.parametrize(("path", "parameter", "make"), REPOSITORIES)
async def test_every_status_of_a_repository(client, path, parameter, make):
    template = f"{path}/{{{parameter}}}"
    document: dict[str, Any] = make()
    one = url(path, document["id"])
    seen = set()

    async def call(method: str, target: str, body: Any = None, /, **headers: str) -> None:
        answer = await client(method, target, body, **headers)
        seen.add((method, answer.status))
        check(answer, method, path if target.startswith(path) and "/" not in target[1:] else template)

    await call("POST", path, document)
    await call("POST", path, document)
    await call("POST", path, b"[")
    await call("POST", path, {"id": 1})
    await call("POST", path, document, content_type="text/plain")
    await call("POST", path, document, idempotency_key=" ")
    await call("GET", path)
    await call("GET", f"{path}?limit=1")
    await call("GET", f"{path}?limit=x")
    await call("GET", path, accept="text/html")
    await call("GET", one)
    await call("GET", f"{path}/AA")
    await call("GET", url(path, "none"))
    await call("GET", one, if_match='"0"')
    await call("PUT", one, document)
    await call("PUT", one, document, if_match='"0"')
    await call("PUT", url(path, "other"), document)
    await call("PUT", url(path, "new"), document | {"id": "new"})
    await call("DELETE", one, if_match='"0"')
    await call("DELETE", one)
    await call("DELETE", one)
    assert seen == {
        *(("POST", status) for status in (201, 400, 409, 415)),
        *(("GET", status) for status in (200, 400, 404, 406, 412)),
        *(("PUT", status) for status in (201, 204, 400, 412)),
        *(("DELETE", status) for status in (204, 404, 412)),
    }


@pytest.mark.parametrize(("path", "make"), [("/shells", complete_shell), ("/submodels", complete_submodel)])
async def test_every_status_of_a_list_of_references(client, path, make):
    listed = f"{path}/$reference"
    await client("POST", path, make())
    for target, status in ((listed, 200), (f"{listed}?limit=1", 200), (f"{listed}?limit=x", 400)):
        answer = await client("GET", target)
        assert answer.status == status
        check(answer, "GET", listed)


async def test_every_status_of_a_thumbnail(client):
    """But for the type of a picture: the files have `application/octet-stream` alone, where others answer its own."""
    shell: dict[str, Any] = complete_shell()
    await client("POST", "/shells", shell)
    seen = set()

    async def call(method: str, identifier: str, body: Any = None, /, **headers: str) -> None:
        answer = await client(method, f"{url('/shells', identifier)}/asset-information/thumbnail", body, **headers)
        seen.add((method, answer.status))
        check(answer, method, "/shells/{aasIdentifier}/asset-information/thumbnail")

    form = {"content_type": CONTENT_TYPE}
    file = file_form(b"any", "any.bin", "application/pdf")
    await call("GET", shell["id"])  # of the test document's own thumbnail there is no file
    await call("PUT", shell["id"], file, **form)
    await call("PUT", shell["id"], b"no form", **form)
    await call("PUT", shell["id"], file, content_type="image/png")
    await call("PUT", shell["id"], file, if_match='"0"', **form)
    await call("PUT", "none", file, **form)
    await call("GET", shell["id"])
    await call("GET", shell["id"], if_match='"0"')
    await call("GET", "none")
    await call("DELETE", shell["id"], if_match='"0"')
    await call("DELETE", shell["id"])
    await call("DELETE", shell["id"])
    await call("DELETE", "none")
    assert seen == {
        *(("GET", status) for status in (200, 404, 412)),
        *(("PUT", status) for status in (204, 400, 404, 412, 415)),
        *(("DELETE", status) for status in (204, 404, 412)),
    }


async def test_description(client):
    check(await client("GET", "/description"), "GET", "/description")


async def test_what_is_not_offered_answers_a_result(client):
    answer = await client("GET", "/submodels/$value")
    assert answer.status == 501
    assert check_schema("Result", answer.json) == []


def test_the_tests_own_documents_are_valid_by_the_official_schemas():
    assert check_schema("AssetAdministrationShell", complete_shell()) == []
    assert check_schema("Submodel", complete_submodel()) == []
    assert check_schema("ConceptDescription", complete_concept_description()) == []


OURS = schemas_of("AssetAdministrationShell", "Submodel", "ConceptDescription")


@pytest.mark.parametrize("name", [name for name, schema in OURS.items() if "properties" in schema])
def test_our_schemas_have_the_members_of_the_official_ones(name):
    schema = OURS[name]
    names, required = members(name)
    assert set(schema["properties"]) == names
    assert set(schema.get("required", ())) == required


@pytest.mark.parametrize("name", ["data/engines_env.json", "data/engines_env_green.json"])
async def test_the_official_examples_go_in_strictly_and_come_back_equal(services, name):
    client = Client(services)
    environment = json.loads(shared(name).read_text())
    for member, path in (
        ("assetAdministrationShells", "/shells"),
        ("submodels", "/submodels"),
        ("conceptDescriptions", "/concept-descriptions"),
    ):
        for document in environment.get(member, ()):
            assert (await client("POST", path, document)).status == 201
            extent = "?extent=withBlobValue" if path == "/submodels" else ""
            assert (await client("GET", url(path, document["id"]) + extent)).json == document
