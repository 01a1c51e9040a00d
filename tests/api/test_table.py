"""The operation table is the official one."""

from typing import Any

import pytest

from tests.support.shared import shared_json
from titan.api.operation import Operation, Right
from titan.api.operations import OPERATIONS
from titan.api.parameters import KNOWN

CORRECTED = ("POST", "/aas/submodels/{submodelIdentifier}/submodel-elements/{idShortPath}/invoke-async")
"""The spelling that the official files get wrong; served besides theirs."""

DEPRECATED = {"DeleteThumbnail_AasRepository": {"200"}}
BINARY = {("application/octet-stream", "string:binary")}


def key(operation: Operation) -> tuple[str, str]:
    return operation.method, operation.path


def official() -> dict[tuple[str, str], Any]:
    rows = shared_json("spec/operations_v3.1.2.json")["operations"]
    assert len(rows) == 224
    return {(row["method"], row["path"]): row for row in rows}


def test_every_official_operation_is_a_row_and_no_other():
    assert sorted(map(key, OPERATIONS)) == sorted([*official(), CORRECTED])


def test_operation_ids_are_those_of_the_profile_files():
    rows = official()
    for operation in OPERATIONS:
        if key(operation) != CORRECTED:
            assert operation.operation_id in rows[key(operation)]["operationIds"].values(), operation


@pytest.mark.parametrize("operation", [row for row in OPERATIONS if row.handler], ids=lambda row: row.operation_id)
def test_what_is_built_agrees_with_the_official_files(operation):
    row = official()[key(operation)]
    assert set(operation.query) == {p["name"] for p in row["parameters"] if p["in"] == "query"}
    assert set(operation.query) <= KNOWN
    assert operation.request_media == tuple((row["requestBody"] or {"content": {}})["content"])
    successes = {status: response for status, response in row["responses"].items() if status.startswith("2")}
    deprecated = DEPRECATED.get(operation.operation_id, set())
    assert set(map(str, operation.success)) == successes.keys() - deprecated
    schemas = {
        (media_type, schema)
        for status, response in successes.items()
        if status != "204"  # has no body, whatever the files say
        for media_type, schema in response["content"].items()
    }
    result = {("application/json", operation.result)} if operation.result else set()
    assert schemas == (BINARY if operation.answers_file else result)


def test_rights_follow_from_what_an_operation_does():
    odd = {
        (row.operation_id, row.right)
        for row in OPERATIONS
        if row.right
        != {
            "GET": Right.READ,
            "POST": Right.CREATE,
            "PUT": Right.UPDATE,
            "PATCH": Right.UPDATE,
            "DELETE": Right.DELETE,
        }[row.method]
    }
    assert {name for name, right in odd if right is not Right.EXECUTE} == {
        "SearchAllAssetAdministrationShellIdsByAssetLink",
        "QueryAssetAdministrationShells",
        "QuerySubmodels",
        "QueryConceptDescriptions",
        "QueryAssetAdministrationShellDescriptors",
        "QuerySubmodelDescriptors",
    }
    assert all("invoke" in row.path for row in OPERATIONS if row.right is Right.EXECUTE)
