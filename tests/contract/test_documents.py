"""Documents come back as they went in, and outcomes say what was done."""

import json

from tests.support.store_documents import document, submodel
from titan.store.contract import AlreadyExists, Created, Deleted, Kind, NotFound, Replaced, WriteMode


async def test_a_created_document_is_read_back_as_it_went_in(store):
    outcome = await store.write(document(text="a"), WriteMode.CREATE)
    stored = await store.get(Kind.SHELL, "urn:test:one")
    assert isinstance(outcome, Created)
    assert stored is not None
    assert (stored.id, stored.revision, stored.modified_ms) == ("urn:test:one", outcome.revision, outcome.modified_ms)
    assert stored.body == document(text="a").header


async def test_a_submodel_is_header_and_elements_in_order(store):
    await store.write(submodel("urn:s", ("b", "1"), ("a", "2")), WriteMode.CREATE)
    stored = await store.get(Kind.SUBMODEL, "urn:s")
    assert json.loads(stored.body) == {
        "id": "urn:s",
        "submodelElements": [{"idShort": "b", "value": "1"}, {"idShort": "a", "value": "2"}],
    }


async def test_blob_values_are_read_only_when_asked_for(store):
    await store.write(submodel("urn:s", ("a", "1"), blob="QUJD"), WriteMode.CREATE)
    without = json.loads((await store.get(Kind.SUBMODEL, "urn:s")).body)
    with_blobs = json.loads((await store.get(Kind.SUBMODEL, "urn:s", with_blobs=True)).body)
    assert without["submodelElements"][1] == {"idShort": "blob"}
    assert with_blobs["submodelElements"][1] == {"idShort": "blob", "value": "QUJD"}


async def test_create_never_overwrites(store):
    first = await store.write(document(text="a"), WriteMode.CREATE)
    assert await store.write(document(text="b"), WriteMode.CREATE) == AlreadyExists(first.revision)
    assert json.loads((await store.get(Kind.SHELL, "urn:test:one")).body)["text"] == "a"


async def test_replace_needs_a_document(store):
    assert await store.write(document(), WriteMode.REPLACE) == NotFound()
    assert await store.get(Kind.SHELL, "urn:test:one") is None


async def test_put_creates_then_replaces(store):
    assert isinstance(await store.write(document(text="a"), WriteMode.PUT), Created)
    assert isinstance(await store.write(document(text="b"), WriteMode.PUT), Replaced)
    assert json.loads((await store.get(Kind.SHELL, "urn:test:one")).body)["text"] == "b"


async def test_a_deleted_document_is_gone(store):
    await store.write(document(), WriteMode.CREATE)
    assert isinstance(await store.delete(Kind.SHELL, "urn:test:one"), Deleted)
    assert await store.get(Kind.SHELL, "urn:test:one") is None
    assert await store.delete(Kind.SHELL, "urn:test:one") == NotFound()
