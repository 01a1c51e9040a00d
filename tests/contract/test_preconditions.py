"""Preconditions are judged in the step of the write, in the order of RFC 9110 section 13.2."""

import pytest

from tests.support.store_documents import document
from titan.store.contract import (
    AlreadyExists,
    Created,
    Deleted,
    IfMatch,
    IfNoneMatch,
    Kind,
    NotFound,
    PreconditionFailed,
    Replaced,
    WriteMode,
)

ANY = ()
CURRENT = "current"
STALE = 999_999


@pytest.fixture
async def revision(store):
    """The revision of the one document, `there`."""
    return (await store.write(document("there"), WriteMode.CREATE)).revision


@pytest.mark.parametrize(
    ("kind", "revisions", "holds"),
    [
        (IfMatch, [CURRENT], True),
        (IfMatch, [STALE, CURRENT], True),
        (IfMatch, [STALE], False),
        (IfMatch, [-1], False),
        (IfMatch, [10**19], False),
        (IfMatch, ANY, True),
        (IfNoneMatch, [CURRENT], False),
        (IfNoneMatch, [CURRENT, STALE], False),
        (IfNoneMatch, [STALE], True),
        (IfNoneMatch, ANY, False),
    ],
)
@pytest.mark.parametrize("what", ["put", "replace", "delete", "create"])
async def test_on_a_document_that_is_there(store, revision, kind, revisions, holds, what):
    precondition = kind(tuple(revision if one is CURRENT else one for one in revisions))
    if what == "delete":
        outcome = await store.delete(Kind.SHELL, "there", precondition=precondition)
    else:
        outcome = await store.write(document("there", text="new"), WriteMode(what), precondition=precondition)
    if not holds:
        assert outcome == PreconditionFailed(revision)
    elif what == "create":
        assert outcome == AlreadyExists(revision)
    else:
        assert isinstance(outcome, Deleted if what == "delete" else Replaced)
    unchanged = not holds or what == "create"
    stored = await store.get(Kind.SHELL, "there")
    assert (stored is not None and stored.revision == revision) == unchanged


@pytest.mark.parametrize(
    ("precondition", "holds"),
    [
        (IfMatch(ANY), False),
        (IfMatch((STALE,)), False),
        (IfNoneMatch(ANY), True),
        (IfNoneMatch((STALE,)), True),
    ],
)
@pytest.mark.parametrize("mode", [WriteMode.PUT, WriteMode.CREATE])
async def test_on_a_document_that_is_not_there(store, precondition, holds, mode):
    outcome = await store.write(document("absent"), mode, precondition=precondition)
    assert isinstance(outcome, Created) if holds else outcome == PreconditionFailed(None)
    assert (await store.get(Kind.SHELL, "absent") is not None) == holds


@pytest.mark.parametrize("precondition", [None, IfMatch(ANY), IfMatch((1,)), IfNoneMatch(ANY), IfNoneMatch((1,))])
async def test_no_precondition_hides_that_there_is_nothing_to_replace_or_delete(store, precondition):
    assert await store.write(document("absent"), WriteMode.REPLACE, precondition=precondition) == NotFound()
    assert await store.delete(Kind.SHELL, "absent", precondition=precondition) == NotFound()


async def test_a_revision_of_before_a_deletion_matches_nothing_after_it(store, revision):
    await store.delete(Kind.SHELL, "there")
    again = await store.write(document("there"), WriteMode.CREATE)
    outcome = await store.write(document("there"), WriteMode.PUT, precondition=IfMatch((revision,)))
    assert outcome == PreconditionFailed(again.revision)


async def test_a_revision_of_another_document_is_no_match(store, revision):
    other = await store.write(document("other"), WriteMode.CREATE)
    outcome = await store.write(document("there"), WriteMode.PUT, precondition=IfMatch((other.revision,)))
    assert outcome == PreconditionFailed(revision)
