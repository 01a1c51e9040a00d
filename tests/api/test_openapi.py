"""The generated OpenAPI document is valid, complete and says what the server does."""

import json

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from tests.support.documents import complete_concept_description, complete_shell, complete_submodel
from titan.api.openapi import QUERY, document, openapi_page
from titan.api.operations import OPERATIONS
from titan.api.parameters import KNOWN
from titan.api.services import PageSizes

DOCUMENT = document(OPERATIONS, "/api/v3.1")


def test_it_is_valid():
    assert list(OpenAPIV30SpecValidator(DOCUMENT).iter_errors()) == []
    page = openapi_page(OPERATIONS).body
    assert isinstance(page, bytes)
    assert json.loads(page) == document(OPERATIONS)


def test_it_has_the_rows_with_a_handler_and_no_others():
    described = {
        (method.upper(), path, operation["operationId"])
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }
    assert described == {(row.method, row.path, row.operation_id) for row in OPERATIONS if row.handler}
    assert len({operation_id for _, _, operation_id in described}) == len(described)


def test_every_query_parameter_is_described():
    assert set(QUERY) == KNOWN


def test_the_sizes_of_pages_are_those_of_the_settings():
    described = document(OPERATIONS, sizes=PageSizes(default=7, most=9))["paths"]["/shells"]["get"]["parameters"]
    (limit,) = (parameter["schema"] for parameter in described if parameter["name"] == "limit")
    assert (limit["default"], limit["maximum"]) == (7, 9)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("AssetAdministrationShell", complete_shell()),
        ("Submodel", complete_submodel()),
        ("ConceptDescription", complete_concept_description()),
    ],
)
def test_the_schemas_take_complete_documents_and_no_unknown_members(schema, value):
    # `discriminator` is OpenAPI's own; without it the schemas are plain JSON Schema.
    validator = jsonschema.Draft7Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    )
    assert list(validator.iter_errors(value)) == []
    assert list(validator.iter_errors(value | {"colour": "red"})) != []
    assert list(validator.iter_errors({name: item for name, item in value.items() if name != "id"})) != []
