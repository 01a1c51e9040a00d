"""What is counted becomes figures whose labels are few, short and readable."""

import json

import pytest

from tests.support.documents import concept_description, reference, shell, submodel
from tests.support.fenced import fence
from tests.support.sqlite_files import fresh_database
from titan.model.documents import Prepared, prepare
from titan.store.codes import term
from titan.store.contract import Field, Kind, Store, Term, WriteMode
from titan.store.sqlite.store import open_sqlite_store
from titan.store.tasks import TemplateCount
from titan.tasks.metrics_aggregation import LABEL_MAX_CHARACTERS, OTHER, TEMPLATES, label_of, metrics_aggregation
from titan.tasks.task import Run


@pytest.fixture
async def store(tmp_path):
    async with open_sqlite_store(fresh_database(tmp_path / "titan.db")) as opened:
        yield opened


async def write(store: Store, kind: Kind, value: dict[str, object]) -> None:
    prepared = prepare(kind, json.dumps(value).encode())
    assert isinstance(prepared, Prepared)
    await store.write(prepared.document, WriteMode.PUT)


async def counted(store: Store) -> dict[tuple[str, str], int]:
    done = await metrics_aggregation(Run(store, await fence(store), 1_700_000_000_000))
    assert done.figures is not None
    found = {(figure.name, figure.label): figure.value for figure in done.figures}
    assert len(found) == len(done.figures)
    return found


async def test_documents_and_templates_are_counted_by_what_people_call_them(store):
    nameplate, other = "https://example.com/nameplate/3/0", "https://example.com/contact/1/0"
    await write(store, Kind.SHELL, shell())
    await write(store, Kind.CONCEPT_DESCRIPTION, concept_description())
    for number in range(3):
        await write(store, Kind.SUBMODEL, submodel(f"urn:s:{number}", semanticId=reference(nameplate)))
    more = submodel("urn:s:3", semanticId=reference(other), supplementalSemanticIds=[reference(nameplate)])
    await write(store, Kind.SUBMODEL, more)
    found = await counted(store)
    assert {label: value for (name, label), value in found.items() if name == "submodels"} == {nameplate: 4, other: 1}
    assert {label: value for (name, label), value in found.items() if name == "documents"} == {
        "shell": 1,
        "submodel": 4,
        "concept-description": 1,
    }
    assert found["outbox_changes", ""] == 6
    assert found["files", ""] == 0
    assert found["store_bytes", ""] > 10_000
    assert found["counted_ms", ""] == 1_700_000_000_000


async def test_an_empty_store_has_figures_too(store):
    found = await counted(store)
    assert found["documents", "submodel"] == 0
    assert [name for name, _ in found if name == "submodels"] == []


async def test_whatever_clients_invent_there_are_few_templates(store):
    for number in range(TEMPLATES + 10):
        await write(store, Kind.SUBMODEL, submodel(f"urn:s:{number}", semanticId=reference(f"urn:t:{number}")))
    found = await counted(store)
    templates = {label: value for (name, label), value in found.items() if name == "submodels"}
    assert len(templates) == TEMPLATES + 1
    assert templates[OTHER] == 10


async def test_two_semantic_ids_that_are_called_alike_are_counted_together(store):
    await write(store, Kind.SUBMODEL, submodel("urn:1", semanticId=reference("urn:t")))
    await write(store, Kind.SUBMODEL, submodel("urn:2", semanticId=reference("urn:t", key="Submodel")))
    assert (await counted(store))["submodels", "urn:t"] == 2


def template(value: str, header: dict[str, object] | None) -> TemplateCount:
    digest = term(Term(Field.SEMANTIC_ID, f'["ExternalReference",[["GlobalReference",{json.dumps(value)}]]]'))[1]
    return TemplateCount(digest, 1, None if header is None else json.dumps(header).encode())


def test_a_label_is_short_and_moves_no_cursor():
    long = "urn:" + "x" * 2000
    assert label_of(template(long, {"semanticId": reference(long)})) == long[:LABEL_MAX_CHARACTERS]
    assert label_of(template("a\tb", {"semanticId": reference("a\tb")})) == "a\\tb"


@pytest.mark.parametrize("header", [None, {}, {"semanticId": reference("another")}])
def test_without_a_sample_that_says_it_the_digest_stands_for_the_template(header):
    """The sample may have been replaced between two looks."""
    one = template("urn:t", header)
    assert label_of(one) == one.digest.hex()


async def test_when_each_durable_cursor_was_kept_is_a_figure(store):
    assert [name for name, _ in await counted(store) if name == "cursor_kept_ms"] == []
    await store.cursors.keep("mqtt", await store.cursor(), fence=await fence(store, "event-publisher"))
    [kept] = await store.cursors.look()
    assert (await counted(store))["cursor_kept_ms", "mqtt"] == kept.kept_ms
