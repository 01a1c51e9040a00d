"""What is there is here afterwards; what is equal is not written; what a pull created goes when it is gone there."""

import json

import pytest

from tests.support.documents import Json, blob, concept_description, prop, shell, submodel
from tests.support.stand_in import Said
from tests.sync.conftest import ids, limited
from titan.model.documents import Prepared, prepare
from titan.model.identifiers import encode_identifier
from titan.store.contract import Changes, Created, Kind, Replaced, Store, WriteMode
from titan.sync.filters import make_filter
from titan.sync.report import Outcome

A, B, C = "urn:a", "urn:b", "urn:c"


@pytest.fixture(params=["plain", "references"])
def way(request, other):
    """The lists of whole documents and digests, or the lists of references and entity tags."""
    other.has_references = other.has_tags = request.param == "references"
    return request.param


async def write(store: Store, kind: Kind, document: Json) -> None:
    prepared = prepare(kind, json.dumps(document).encode())
    assert isinstance(prepared, Prepared)
    outcome = await store.write(prepared.document, WriteMode.PUT)
    assert isinstance(outcome, Created | Replaced)


async def content(store: Store, document_id: str, kind: Kind = Kind.SUBMODEL) -> Json | None:
    stored = await store.get(kind, document_id, with_blobs=True)
    return None if stored is None else json.loads(stored.body)


async def changes(store: Store) -> int:
    found = await store.changes()
    assert isinstance(found, Changes)
    return len(found.items)


async def test_every_kind_arrives(other, store, pull_it, way):
    other.put("shells", shell(A))
    other.put("submodels", submodel(B, submodelElements=[prop(), blob()]))
    other.put("concept-descriptions", concept_description(C))
    report = await pull_it()
    assert report.summary() == "other: 3 created"
    assert await content(store, A, Kind.SHELL) == shell(A)
    assert await content(store, B) == submodel(B, submodelElements=[prop(), blob()])
    assert await content(store, C, Kind.CONCEPT_DESCRIPTION) == concept_description(C)


async def test_pages_are_followed_to_the_end(other, store, pull_it, way):
    other.page_items = 3
    other.put("submodels", *[submodel(f"urn:{number}") for number in range(10)])
    report = await pull_it()
    assert report.count(Outcome.CREATED) == 10
    assert len(await ids(store)) == 10


async def test_what_is_equal_is_not_written(other, store, pull_it, way):
    other.put("submodels", submodel(A, idShort="One"), submodel(B))
    await pull_it()
    before = await changes(store)
    other.documents["submodels"][A] = dict(reversed(submodel(A, idShort="One").items()))  # the same in another order
    report = await pull_it()
    assert report.summary() == "other: 2 unchanged"
    assert await changes(store) == before


async def test_only_what_changed_is_written(other, store, pull_it, way):
    other.put("submodels", submodel(A), submodel(B))
    await pull_it()
    other.put("submodels", submodel(B, idShort="Changed"))
    report = await pull_it()
    assert report.summary() == "other: 1 replaced, 1 unchanged"
    assert await content(store, B) == submodel(B, idShort="Changed")


async def test_with_entity_tags_only_what_changed_travels(other, pull_it):
    other.has_references = other.has_tags = True
    large = [prop(f"Property{number}") for number in range(200)]
    other.put("submodels", *[submodel(f"urn:{number}", submodelElements=large) for number in range(20)])
    first = await pull_it(make_filter(kinds=[Kind.SUBMODEL]))
    second = await pull_it(make_filter(kinds=[Kind.SUBMODEL]))
    assert second.received_bytes < first.received_bytes / 100
    other.put("submodels", submodel("urn:7", submodelElements=large[:-1]))
    third = await pull_it(make_filter(kinds=[Kind.SUBMODEL]))
    assert third.summary() == "other: 1 replaced, 19 unchanged"
    assert third.received_bytes < first.received_bytes / 10


async def test_without_entity_tags_no_document_is_asked_for_by_itself(other, pull_it):
    other.has_references = True
    other.put("submodels", submodel(A), submodel(B))
    await pull_it()
    other.forget()
    await pull_it()
    assert len(other.documents_asked()) == 1  # to see whether it has a tag by now


async def test_a_blob_value_that_changed_is_seen_although_lists_do_not_show_it(other, store, pull_it):
    def listed(asked):
        if asked.path != "/submodels":
            return None
        bare = submodel(A, submodelElements=[{**blob(), "value": None}])
        bare["submodelElements"][0].pop("value")
        return Said(200, json.dumps({"paging_metadata": {}, "result": [bare]}).encode())

    other.instead = listed
    for value in ("QQ==", "Qg=="):
        other.put("submodels", submodel(A, submodelElements=[blob(value=value)]))
        await pull_it()
        assert await content(store, A) == submodel(A, submodelElements=[blob(value=value)])


async def test_what_is_gone_there_goes_here_if_a_pull_created_it(other, store, pull_it, way):
    other.put("submodels", submodel(A), submodel(B))
    await pull_it()
    del other.documents["submodels"][A]
    report = await pull_it()
    assert report.summary() == "other: 1 deleted, 1 unchanged"
    assert await ids(store) == [B]
    assert (await pull_it()).summary() == "other: 1 unchanged"


async def test_what_was_here_before_is_never_deleted(other, store, pull_it, way):
    await write(store, Kind.SUBMODEL, submodel(A))  # equal at first sight
    await write(store, Kind.SUBMODEL, submodel(B, idShort="Mine"))  # replaced
    await write(store, Kind.SUBMODEL, submodel(C))  # never there
    other.put("submodels", submodel(A), submodel(B))
    report = await pull_it()
    assert report.summary() == "other: 1 replaced, 1 unchanged"
    other.documents["submodels"].clear()
    report = await pull_it()
    assert report.summary() == "other: 2 released"
    assert await ids(store) == [A, B, C]
    assert (await pull_it()).summary() == "other: nothing there"


async def test_a_document_that_a_list_passed_over_is_not_taken_for_gone(other, store, pull_it, way):
    other.put("submodels", submodel(A), submodel(B))
    await pull_it()

    def without_b(asked):
        if asked.path not in {"/submodels", "/submodels/$reference"}:
            return None
        hidden = other.documents["submodels"].pop(B)
        other.instead = lambda _: None
        said = other.answer(asked)
        other.documents["submodels"][B] = hidden
        other.instead = without_b
        return said

    other.instead = without_b
    other.forget()
    report = await pull_it()
    assert report.summary() == "other: 2 unchanged"
    assert await ids(store) == [A, B]
    (asked,) = [asked for asked in other.asked if asked.headers.get("cache-control") == "no-cache"]
    assert asked.path == f"/submodels/{encode_identifier(B)}"


async def test_a_copy_that_was_changed_here_becomes_what_it_is_there(other, store, pull_it, way):
    other.put("submodels", submodel(A), submodel(B))
    await pull_it()
    await write(store, Kind.SUBMODEL, submodel(A, idShort="Changed"))
    await store.delete(Kind.SUBMODEL, B)
    report = await pull_it()
    assert report.summary() == "other: 1 created, 1 replaced"
    assert await content(store, A) == submodel(A)
    assert await ids(store) == [A, B]
    assert (await pull_it()).summary() == "other: 2 unchanged"


async def test_a_copy_that_was_changed_here_and_is_gone_there_stays(other, store, pull_it, way):
    other.put("submodels", submodel(A))
    await pull_it()
    await write(store, Kind.SUBMODEL, submodel(A, idShort="Changed"))
    other.documents["submodels"].clear()
    assert (await pull_it()).summary() == "other: 1 released"
    assert await content(store, A) == submodel(A, idShort="Changed")


async def test_a_change_made_at_a_documents_home_stays_until_the_other_changes_too(other, store, pull_it, way):
    await write(store, Kind.SUBMODEL, submodel(A))
    other.put("submodels", submodel(A))
    await pull_it()
    await write(store, Kind.SUBMODEL, submodel(A, idShort="Here"))
    for _ in range(2):
        assert (await pull_it()).summary() == "other: 1 kept"
    assert await content(store, A) == submodel(A, idShort="Here")
    other.put("submodels", submodel(A, idShort="There"))
    assert (await pull_it()).summary() == "other: 1 replaced"
    assert await content(store, A) == submodel(A, idShort="There")


async def test_a_document_deleted_at_its_home_does_not_come_back(other, store, pull_it, way):
    await write(store, Kind.SUBMODEL, submodel(A))
    other.put("submodels", submodel(A))
    await pull_it()
    await store.delete(Kind.SUBMODEL, A)
    assert (await pull_it()).summary() == "other: 1 kept"
    assert await ids(store) == []


async def test_the_filter_is_asked_for_and_looked_at(other, store, pull_it, way):
    other.put("submodels", submodel(A, idShort="Wanted"), submodel(B, idShort="Other"))
    wanted = make_filter(kinds=[Kind.SUBMODEL], id_short="Wanted")
    for filters in (True, False):
        other.filters = filters
        await pull_it(wanted)
        assert await ids(store) == [A]
    assert all(asked.query["idShort"] == "Wanted" for asked in other.asked if asked.path == "/submodels")


async def test_what_leaves_the_filter_is_released_and_stays(other, store, pull_it, way):
    other.put("submodels", submodel(A, idShort="Wanted"))
    wanted = make_filter(kinds=[Kind.SUBMODEL], id_short="Wanted")
    await pull_it(wanted)
    other.put("submodels", submodel(A, idShort="Other"))
    assert (await pull_it(wanted)).summary() == "other: 1 released"
    assert await content(store, A) == submodel(A, idShort="Wanted")
    other.documents["submodels"].clear()
    assert (await pull_it(wanted)).summary() == "other: nothing there"
    assert await ids(store) == [A]


async def test_named_documents_are_asked_for_one_by_one(other, store, pull_it):
    other.has_tags = True
    other.put("submodels", submodel(A), submodel(B), submodel(C))
    wanted = make_filter(kinds=[Kind.SUBMODEL], ids=[A, B, "urn:none"])
    assert (await pull_it(wanted)).summary() == "other: 2 created"
    assert "/submodels" not in other.paths()
    assert (await pull_it(wanted)).summary() == "other: 2 unchanged"
    del other.documents["submodels"][A]
    assert (await pull_it(wanted)).summary() == "other: 1 deleted, 1 unchanged"
    assert (await pull_it(make_filter(kinds=[Kind.SUBMODEL], ids=[C]))).summary() == "other: 1 created, 1 released"
    assert await ids(store) == [B, C]


async def test_a_page_that_is_too_large_is_asked_for_in_parts(other, store, pull_it):
    other.put("submodels", *[submodel(f"urn:{number}", idShort="x" * 120) for number in range(60)])
    report = await pull_it(make_filter(kinds=[Kind.SUBMODEL]), policy=limited(max_page_bytes=8_000))
    assert report.summary() == "other: 60 created"
    limits = {int(asked.query["limit"]) for asked in other.asked if asked.path == "/submodels"}
    assert limits == {100, 10}


async def test_credentials_are_sent_with_every_request(other, pull_it):
    other.put("submodels", submodel(A))
    await pull_it(headers=(("Authorization", "Bearer secret"),))
    assert {asked.headers.get("authorization") for asked in other.asked} == {"Bearer secret"}
