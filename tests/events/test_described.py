"""What `/openapi.json` and `/docs` say of events is valid, and is what their requests are read by."""

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from titan.api.docs_page import docs_page
from titan.api.openapi import document
from titan.api.operations import OPERATIONS
from titan.api.services import PageSizes
from titan.events.described import described
from titan.events.schema import EXAMPLES
from titan.events.wish import PAGE_READERS, READERS

MORE = described(PageSizes(7, 9))
DOCUMENT = document(OPERATIONS, more=[MORE])


def test_the_whole_document_is_valid_and_loses_nothing():
    assert list(OpenAPIV30SpecValidator(DOCUMENT).iter_errors()) == []
    alone = document(OPERATIONS)
    assert DOCUMENT["paths"] == alone["paths"] | dict(MORE.paths)
    assert {tag["name"] for tag in DOCUMENT["tags"]} == {tag["name"] for tag in alone["tags"]} | {"Events"}


@pytest.mark.parametrize(("path", "known"), [("/events", {*READERS, *PAGE_READERS}), ("/events/ws", {*READERS})])
def test_every_parameter_that_is_read_is_described(path, known):
    parameters = DOCUMENT["paths"][path]["get"]["parameters"]
    assert {each["name"] for each in parameters if each["in"] == "query"} == known


def test_the_sizes_of_pages_are_those_of_the_settings():
    [limit] = [each["schema"] for each in DOCUMENT["paths"]["/events"]["get"]["parameters"] if each["name"] == "limit"]
    assert (limit["default"], limit["maximum"]) == (7, 9)


def test_its_schema_takes_events():
    validator = jsonschema.Draft7Validator(DOCUMENT["components"]["schemas"]["Event"])
    for example in EXAMPLES:
        assert list(validator.iter_errors(example)) == []
        assert list(validator.iter_errors(example | {"type": "other"})) != []


def test_the_page_for_people_has_them():
    page = docs_page(OPERATIONS, more=[MORE]).body
    assert isinstance(page, bytes)
    for text in (b"<code>/events</code>", b"<code>/events/ws</code>", b"<code>idShortPath</code>", b"<code>410</code>"):
        assert text in page
