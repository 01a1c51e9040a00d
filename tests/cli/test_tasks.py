"""`titan tasks` on a store that nobody serves: what it shows, and that a request is kept there for a leader to come."""

import json
import os
from typing import Any

import pytest
import trio

from tests.cli.conftest import Titan
from tests.support.fenced import fence
from titan.cli.transfer.stores import writing
from titan.store.contract import Store
from titan.store.postgres.url import parse
from titan.store.tasks import Outcome


@pytest.fixture(params=["embedded", "postgres"])
def place(request, titan, tmp_path, monkeypatch):
    """Where the commands' store is."""
    if request.param == "postgres":
        request.getfixturevalue("database")
        return parse(os.environ["DATABASE_URL"])
    folder = request.getfixturevalue("data_dir")
    monkeypatch.setenv("TITAN_DATA_DIR", str(folder))
    return folder / "titan.db"


def led(place, outcome: Outcome, detail: str) -> None:
    """Let a leader do its work once, as far as it was asked or is due."""

    async def lead(store: Store) -> None:
        term = await fence(store)
        await store.tasks.begin("blob-cleanup", every_s=60, fence=term)
        await store.tasks.end("blob-cleanup", outcome, detail, due_in_s=3600, fence=term)

    async def run() -> None:
        async with writing(place) as store:
            await lead(store)

    trio.run(run)


def rows(titan: Titan) -> dict[str, Any]:
    ended = titan("tasks", "--json")
    assert (ended.code, ended.err) == (0, "")
    return {row["task"]: row for row in json.loads(ended.out)}


def test_every_task_is_listed_before_it_ever_ran(titan, place):
    found = rows(titan)
    assert list(found) == ["session-cleanup", "metrics-aggregation", "outbox-trim", "blob-cleanup"]
    assert {row["role"] for row in found.values()} == {"cleanup-worker"}
    assert [row["every_s"] for row in found.values()] == [900, 300, 3600, 21600]
    assert {row["state"] for row in found.values()} == {"never run"}
    assert titan("tasks").out.count("never") >= 4


def test_a_run_is_shown_with_its_end_and_when_the_next_is_due(titan, place):
    led(place, Outcome.FAILED, "it says\x1b[31m no")
    row = rows(titan)["blob-cleanup"]
    assert (row["state"], row["outcome"], row["failures"], row["runs"]) == ("failed", "failed", 1, 1)
    assert row["ended"] < row["due"]
    assert row["succeeded"] is None
    shown = titan("tasks").out
    assert "it says\\x1b[31m no" in shown
    assert "in 1 h" in shown or "in 60 min" in shown


def test_a_request_waits_in_the_store_for_whoever_leads(titan, place):
    led(place, Outcome.SUCCEEDED, "fine")
    ended = titan("tasks", "run", "blob-cleanup")
    assert (ended.code, ended.out) == (0, "blob-cleanup: asked for; whoever leads runs it now\n")
    row = rows(titan)["blob-cleanup"]
    assert (row["state"], row["outcome"]) == ("asked for", "succeeded")
    assert row["requested"] is not None
    led(place, Outcome.SUCCEEDED, "as asked")
    assert (rows(titan)["blob-cleanup"]["requested"], rows(titan)["blob-cleanup"]["detail"]) == (None, "as asked")


def test_waiting_for_a_run_that_nobody_makes_ends_with_1(titan, place):
    ended = titan("tasks", "run", "outbox-trim", "--wait", "0.3")
    assert ended.code == 1
    assert "no run ended within 0.3 s" in ended.err
    assert rows(titan)["outbox-trim"]["state"] == "asked for"


def test_an_unknown_task_is_a_mistake_that_changes_nothing(titan, place):
    ended = titan("tasks", "run", "blob-cleaning")
    assert ended.code == 2
    assert "there is no task blob-cleaning; there are session-cleanup" in ended.err
    assert len(rows(titan)) == 4


def test_a_task_that_only_the_store_knows_is_shown_too(titan, place):
    async def run() -> None:
        async with writing(place) as store:
            await store.tasks.request(["of-another-version"])

    trio.run(run)
    row = rows(titan)["of-another-version"]
    assert (row["role"], row["state"]) == (None, "asked for")
    assert "of-another-version" in titan("tasks").out


def test_where_there_is_no_store_it_says_so(titan, tmp_path):
    ended = titan("tasks", data_dir=tmp_path / "nowhere")
    assert ended.code == 1
    assert "there is no store" in ended.err
