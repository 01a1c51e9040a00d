"""Documents come back as they went in, and outcomes say what was done."""

import json
import time
import unicodedata

import pytest

from tests.support.store_documents import document, submodel
from titan.store.contract import (
    MAX_ID_CHARACTERS,
    AlreadyExists,
    Created,
    Deleted,
    Document,
    Element,
    Kind,
    NotFound,
    Replaced,
    WriteMode,
)

IDS = {
    "one character": "a",
    "spaces and quotes": " a ' \" \\ b\t\n ",
    "LIKE wildcards": "%_*?[a]",
    "URN": "urn:example:Ä:1",
    "IRI": "https://example.com/ids/sm/1234_5678?query=ä#fragment",
    "composed": unicodedata.normalize("NFC", "Å é ệ"),
    "decomposed": unicodedata.normalize("NFD", "Å é ệ"),
    "astral": "\U0001f600\U0001d4d0\U0010ffff",
    "right to left and joiners": "\u202eabc\u200d\u0301\ufeff",
    "longest, ASCII": "x" * MAX_ID_CHARACTERS,
    "longest, astral": "\U0001f600" * MAX_ID_CHARACTERS,
    "longest, other end": "x" * (MAX_ID_CHARACTERS - 1) + "y",
    "longest, other start": "y" + "x" * (MAX_ID_CHARACTERS - 1),
    "control characters": "\x01\x7f\x80\x9f",
    "not a character": "\ufffe\uffff",
}


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


async def test_no_elements_and_no_member_for_elements_are_two_things(store):
    await store.write(Document(Kind.SUBMODEL, "none", b'{"id":"none"}'), WriteMode.CREATE)
    await store.write(Document(Kind.SUBMODEL, "empty", b'{"id":"empty"}', ()), WriteMode.CREATE)
    assert (await store.get(Kind.SUBMODEL, "none")).body == b'{"id":"none"}'
    assert (await store.get(Kind.SUBMODEL, "empty")).body == b'{"id":"empty","submodelElements":[]}'


async def test_content_is_opaque_bytes(store):
    header = b'{"id":"x","text":"\xf0\x9f\x98\x80 \\u0000 \\ud800 %s :name ?1 $1","big":1e400}'
    content = b'{"x":"\\u0000"}'
    await store.write(Document(Kind.SUBMODEL, "x", header, (Element(None, content),)), WriteMode.CREATE)
    body = (await store.get(Kind.SUBMODEL, "x")).body
    assert body == header[:-1] + b',"submodelElements":[' + content + b"]}"


async def test_a_header_without_members_is_spliced_too(store):
    await store.write(Document(Kind.SUBMODEL, "x", b"{}", (Element("a", b"1"), Element("b", b"2"))), WriteMode.CREATE)
    assert (await store.get(Kind.SUBMODEL, "x")).body == b'{"submodelElements":[1,2]}'


async def test_blob_values_are_read_only_when_asked_for(store):
    await store.write(submodel("urn:s", ("a", "1"), blob="QUJD"), WriteMode.CREATE)
    without = json.loads((await store.get(Kind.SUBMODEL, "urn:s")).body)
    with_blobs = json.loads((await store.get(Kind.SUBMODEL, "urn:s", with_blobs=True)).body)
    assert without["submodelElements"][1] == {"idShort": "blob"}
    assert with_blobs["submodelElements"][1] == {"idShort": "blob", "value": "QUJD"}
    page = await store.page(Kind.SUBMODEL)
    full_page = await store.page(Kind.SUBMODEL, with_blobs=True)
    assert [json.loads(item.body) for item in page.items] == [without]
    assert [json.loads(item.body) for item in full_page.items] == [with_blobs]


@pytest.mark.parametrize("size", [100, 60_000, 70_000, 3_000_000])
async def test_documents_of_every_size(store, size):
    elements = tuple(Element(f"e{n}", b'"' + b"x" * (size // 10) + b'"') for n in range(10))
    await store.write(Document(Kind.SUBMODEL, "big", b'{"id":"big"}', elements), WriteMode.CREATE)
    body = (await store.get(Kind.SUBMODEL, "big")).body
    assert len(json.loads(body)["submodelElements"]) == 10
    assert len(body) >= size


async def test_a_submodel_of_many_elements(store):
    elements = tuple(Element(f"e{n}", b'{"n":%d}' % n) for n in range(10_000))
    await store.write(Document(Kind.SUBMODEL, "many", b'{"id":"many"}', elements), WriteMode.CREATE)
    body = (await store.get(Kind.SUBMODEL, "many")).body
    assert [element["n"] for element in json.loads(body)["submodelElements"]] == list(range(10_000))


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


async def test_replacing_leaves_nothing_of_the_old_content(store):
    await store.write(submodel("s", ("a", "1"), ("b", "2"), ("c", "3")), WriteMode.CREATE)
    await store.write(submodel("s", ("z", "9")), WriteMode.REPLACE)
    assert json.loads((await store.get(Kind.SUBMODEL, "s")).body)["submodelElements"] == [
        {"idShort": "z", "value": "9"}
    ]
    await store.write(Document(Kind.SUBMODEL, "s", b'{"id":"s"}'), WriteMode.REPLACE)
    assert (await store.get(Kind.SUBMODEL, "s")).body == b'{"id":"s"}'


async def test_a_deleted_document_is_gone(store):
    await store.write(document(), WriteMode.CREATE)
    assert isinstance(await store.delete(Kind.SHELL, "urn:test:one"), Deleted)
    assert await store.get(Kind.SHELL, "urn:test:one") is None
    assert await store.delete(Kind.SHELL, "urn:test:one") == NotFound()


async def test_a_document_created_anew_has_nothing_of_the_deleted_one(store):
    await store.write(submodel("s", ("a", "1")), WriteMode.CREATE)
    await store.delete(Kind.SUBMODEL, "s")
    await store.write(Document(Kind.SUBMODEL, "s", b'{"id":"s"}', ()), WriteMode.CREATE)
    assert (await store.get(Kind.SUBMODEL, "s")).body == b'{"id":"s","submodelElements":[]}'


async def test_one_id_may_stand_for_a_document_of_each_kind(store):
    for kind in Kind:
        await store.write(document("same", kind=kind, text=kind.value), WriteMode.CREATE)
    await store.delete(Kind.SHELL, "same")
    assert await store.get(Kind.SHELL, "same") is None
    for kind in (Kind.SUBMODEL, Kind.CONCEPT_DESCRIPTION):
        assert json.loads((await store.get(kind, "same")).body)["text"] == kind.value


async def test_ids_of_any_characters_and_length_are_told_apart(store):
    for name, document_id in IDS.items():
        assert isinstance(await store.write(document(document_id, text=name), WriteMode.CREATE), Created)
    for name, document_id in IDS.items():
        stored = await store.get(Kind.SHELL, document_id)
        assert stored.id == document_id
        assert json.loads(stored.body)["text"] == name
    listed = [item.id async for item in store.export(Kind.SHELL)]
    assert listed == list(IDS.values())
    for document_id in IDS.values():
        assert isinstance(await store.delete(Kind.SHELL, document_id), Deleted)


@pytest.mark.parametrize(
    "document_id",
    ["", "a\0b", "\0", "\ud800", "x" * (MAX_ID_CHARACTERS + 1)],
    ids=["empty", "U+0000 inside", "U+0000", "lone surrogate", "too long"],
)
async def test_an_id_that_cannot_be_is_refused_and_found_nowhere(store, document_id):
    with pytest.raises(ValueError, match="an id has"):
        await store.write(Document(Kind.SHELL, document_id, b"{}"), WriteMode.CREATE)
    assert await store.get(Kind.SHELL, document_id) is None
    assert await store.delete(Kind.SHELL, document_id) == NotFound()


@pytest.mark.parametrize(("one", "other"), [("a", "A"), ("a", "a "), ("é", "e\u0301"), ("ß", "ss"), ("1", "01")])
async def test_ids_that_look_alike_are_two(store, one, other):
    await store.write(document(one, text="one"), WriteMode.CREATE)
    assert await store.get(Kind.SHELL, other) is None
    assert isinstance(await store.write(document(other, text="other"), WriteMode.CREATE), Created)
    assert json.loads((await store.get(Kind.SHELL, one)).body)["text"] == "one"


async def test_revisions_grow_and_never_repeat_for_an_id(store):
    seen = []
    for _ in range(3):
        seen.append((await store.write(document("same"), WriteMode.CREATE)).revision)
        seen.append((await store.write(document("same"), WriteMode.REPLACE)).revision)
        seen.append((await store.write(document("same"), WriteMode.PUT)).revision)
        seen.append((await store.delete(Kind.SHELL, "same")).revision)
    assert seen == sorted(set(seen))


async def test_what_was_refused_draws_no_revision_that_a_reader_sees(store):
    first = await store.write(document("a"), WriteMode.CREATE)
    for _ in range(5):
        await store.write(document("a"), WriteMode.CREATE)
    assert (await store.get(Kind.SHELL, "a")).revision == first.revision


async def test_the_time_of_the_change_is_wall_time(store):
    before_ms = time.time_ns() // 1_000_000
    outcome = await store.write(document(), WriteMode.CREATE)
    assert before_ms - 1000 <= outcome.modified_ms <= time.time_ns() // 1_000_000 + 1000
