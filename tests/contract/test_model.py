"""A store is a dictionary with rules: random sequences of operations give what a plain model of the rules gives."""

import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

import pytest
import trio
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from titan.store.contract import (
    AlreadyExists,
    Changes,
    Created,
    Deleted,
    Document,
    Done,
    Element,
    Field,
    Idempotency,
    IdempotencyMismatch,
    IfMatch,
    IfNoneMatch,
    Kind,
    NotFound,
    Precondition,
    PreconditionFailed,
    Replaced,
    Replayed,
    Store,
    Term,
    WriteMode,
)

EXAMPLES = 30
STEPS = 30
RUNS = count()


class Loop:
    """A store in a trio thread of its own, called from the machine's synchronous rules."""

    def __init__(self, store: Store, token: trio.lowlevel.TrioToken) -> None:
        self.store = store
        self._token = token

    def call(self, method: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
        return trio.from_thread.run(lambda: method(*arguments, **options), trio_token=self._token)


@contextmanager
def opened(backend: Any) -> Iterator[Loop]:
    made: list[Loop] = []
    ready, over = threading.Event(), threading.Event()

    async def main() -> None:
        async with backend.open() as store:
            made.append(Loop(store, trio.lowlevel.current_trio_token()))
            ready.set()
            await trio.to_thread.run_sync(over.wait)

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    try:
        assert ready.wait(30)
        yield made[0]
    finally:
        over.set()
        thread.join()


@dataclass
class Row:
    revision: int
    place: int
    body: object
    plain: object
    terms: frozenset[Term]


elements = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 9), st.booleans()), max_size=4)
colours = st.frozensets(st.sampled_from(["red", "green", "blue"]), max_size=3)


class Machine(RuleBasedStateMachine):
    loop: Loop

    @initialize()
    def begin(self) -> None:
        self.run = next(RUNS)
        self.rows: dict[tuple[Kind, str], Row] = {}
        self.keys: dict[bytes, tuple[bytes, Done]] = {}
        self.told: list[tuple[int, Kind, str, str]] = []
        self.revision = 0
        self.places = 0
        self.start = self.loop.call(self.loop.store.cursor)

    def mine(self, colour: str) -> Term:
        return Term(Field.ID_SHORT, f"{self.run} {colour}")

    @rule(
        kind=st.sampled_from(Kind),
        name=st.sampled_from("xyz"),
        mode=st.sampled_from(WriteMode),
        made=st.none() | elements,
        terms=colours,
        condition=st.sampled_from(["none", "match any", "match it", "match stale", "absent", "not it", "not stale"]),
        key=st.none() | st.sampled_from([b"k1", b"k2"]),
    )
    def write(self, kind, name, mode, made, terms, condition, key) -> None:
        where = (kind, f"{self.run} {name}")
        row = self.rows.get(where)
        document = self.document(where, made, terms)
        precondition = self.precondition(condition, row)
        idempotency = None
        if key is not None:
            request = repr((where, mode, made, sorted(terms), condition)).encode()
            idempotency = Idempotency(b"%d %b" % (self.run, key), request)
        outcome: Any = self.loop.call(
            self.loop.store.write, document, mode, precondition=precondition, idempotency=idempotency
        )
        expected = self.expect(row, mode, precondition, idempotency)
        if not isinstance(expected, type):
            assert outcome == expected
            return
        assert isinstance(outcome, expected)
        done = cast("Created | Replaced", outcome)
        assert done.revision > self.revision
        self.revision = done.revision
        self.places += row is None
        self.rows[where] = Row(
            done.revision,
            self.places if row is None else row.place,
            body(document, with_blobs=True),
            body(document, with_blobs=False),
            document.terms,
        )
        self.told.append((done.revision, *where, "created" if row is None else "updated"))
        if idempotency is not None:
            self.keys[idempotency.scope] = (idempotency.request, done)

    @rule(
        kind=st.sampled_from(Kind),
        name=st.sampled_from("xyz"),
        condition=st.sampled_from(["none", "match any", "match it", "match stale", "absent", "not it", "not stale"]),
    )
    def delete(self, kind, name, condition) -> None:
        where = (kind, f"{self.run} {name}")
        row = self.rows.get(where)
        precondition = self.precondition(condition, row)
        outcome = self.loop.call(self.loop.store.delete, *where, precondition=precondition)
        if row is None:
            assert outcome == NotFound()
        elif not holds(precondition, row.revision):
            assert outcome == PreconditionFailed(row.revision)
        else:
            assert isinstance(outcome, Deleted)
            assert outcome.revision > self.revision
            self.revision = outcome.revision
            del self.rows[where]
            self.told.append((outcome.revision, *where, "deleted"))

    @rule(colours=colours, kind=st.sampled_from(Kind), limit=st.integers(1, 4), with_blobs=st.booleans())
    def page(self, colours, kind, limit, with_blobs) -> None:
        terms = [self.mine(colour) for colour in ("any", *colours)]
        found = []
        after: int | None = 0
        while after is not None:
            page = self.loop.call(
                self.loop.store.page, kind, terms=terms, after=after, limit=limit, with_blobs=with_blobs
            )
            assert len(page.items) <= limit
            found += [(item.id, item.revision, json.loads(item.body)) for item in page.items]
            after = page.next_after
        rows = sorted(
            (row.place, document_id, row.revision, row.body if with_blobs else row.plain)
            for (row_kind, document_id), row in self.rows.items()
            if row_kind is kind and row.terms >= set(terms)
        )
        assert found == [(document_id, revision, content) for _, document_id, revision, content in rows]

    @invariant()
    def everything_reads_as_it_was_written_and_was_told_once(self) -> None:
        self.loop.call(self.compare)

    async def compare(self) -> None:
        store = self.loop.store
        for kind in Kind:
            for name in "xyz":
                where = (kind, f"{self.run} {name}")
                stored, full = await store.get(*where), await store.get(*where, with_blobs=True)
                row = self.rows.get(where)
                if row is None:
                    assert stored is None
                    assert full is None
                else:
                    assert stored is not None
                    assert full is not None
                    assert (stored.revision, json.loads(stored.body)) == (row.revision, row.plain)
                    assert (full.revision, json.loads(full.body)) == (row.revision, row.body)
        changes = await store.changes(after=self.start)
        assert isinstance(changes, Changes)
        assert [(one.revision, one.kind, one.id, one.type.value) for one in changes.items] == self.told

    def document(self, where: tuple[Kind, str], made: Any, terms: frozenset[str]) -> Document:
        parts = None
        if made is not None:
            parts = tuple(
                Element(
                    name,
                    json.dumps({"n": number, "blob": "QQ=="} if has_blob else {"n": number}).encode(),
                    json.dumps({"n": number}).encode() if has_blob else None,
                )
                for name, number, has_blob in made
            )
        header = json.dumps({"id": where[1], "terms": sorted(terms)}).encode()
        return Document(where[0], where[1], header, parts, frozenset(map(self.mine, ("any", *terms))))

    def precondition(self, condition: str, row: Row | None) -> Precondition | None:
        current = row.revision if row else 1
        return {
            "none": None,
            "match any": IfMatch(()),
            "match it": IfMatch((current, 10**12)),
            "match stale": IfMatch((10**12,)),
            "absent": IfNoneMatch(()),
            "not it": IfNoneMatch((current,)),
            "not stale": IfNoneMatch((10**12,)),
        }[condition]

    def expect(self, row, mode, precondition, idempotency) -> Any:
        """Say which outcome the contract wants; a class where the store chooses the revision."""
        if idempotency is not None and idempotency.scope in self.keys:
            request, first = self.keys[idempotency.scope]
            return Replayed(first) if request == idempotency.request else IdempotencyMismatch()
        if row is None and mode is WriteMode.REPLACE:
            return NotFound()
        if not holds(precondition, row.revision if row else None):
            return PreconditionFailed(row.revision if row else None)
        if row is None:
            return Created
        return AlreadyExists(row.revision) if mode is WriteMode.CREATE else Replaced


def holds(precondition: Precondition | None, current: int | None) -> bool:
    match precondition:
        case None:
            return True
        case IfMatch(revisions):
            return current is not None and (not revisions or current in revisions)
        case IfNoneMatch(revisions):
            return current is None or (bool(revisions) and current not in revisions)


def body(document: Document, *, with_blobs: bool) -> Any:
    content = json.loads(document.header)
    if document.elements is not None:
        content["submodelElements"] = [
            json.loads(one.content if with_blobs or one.content_without_blobs is None else one.content_without_blobs)
            for one in document.elements
        ]
    return content


def test_the_store_is_its_model(backend):
    with opened(backend) as loop:
        run(loop)


def test_the_model_notices_a_store_that_breaks_a_rule(backend):
    """Control: a store that ignores preconditions is caught."""
    with opened(backend) as loop:
        write = loop.store.write

        async def careless(document, mode, *, precondition, idempotency):
            return await write(document, mode, idempotency=idempotency)

        loop.store.write = careless  # type: ignore[method-assign,assignment]
        with pytest.raises(AssertionError):
            run(loop, phases=[Phase.generate], database=None)


def run(loop: Loop, **options: Any) -> None:
    run_state_machine_as_test(
        type("Machine", (Machine,), {"loop": loop}),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            **options,
        ),
    )
