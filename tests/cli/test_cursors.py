"""`titan db cursors`: an operator sees who holds up the trim, and can give one up."""

import json
import os
from pathlib import Path

import pytest
import trio

from tests.cli.conftest import Titan
from tests.support.fenced import fence, trimmed
from tests.support.store_documents import document
from titan.cli.transfer.stores import Place, writing
from titan.store.contract import WriteMode
from titan.store.postgres.url import parse


@pytest.fixture(params=["embedded", "postgres"])
def place(request, titan, monkeypatch) -> Place:
    """Where the commands' store is."""
    if request.param == "postgres":
        request.getfixturevalue("database")
        return parse(os.environ["DATABASE_URL"])
    folder: Path = request.getfixturevalue("data_dir")
    monkeypatch.setenv("TITAN_DATA_DIR", str(folder))
    return folder / "titan.db"


def kept(place: Place, *names: str) -> None:
    """Keep cursors, and change something behind them."""

    async def keep() -> None:
        async with writing(place) as store:
            term = await fence(store, "event-publisher")
            for name in names:
                assert await store.cursors.keep(name, await store.cursor(), fence=term)
            await store.write(document("a"), WriteMode.PUT)

    trio.run(keep)


def trim(place: Place) -> int:
    async def all_of_it() -> int:
        async with writing(place) as store:
            return await trimmed(store, before_ms=1 << 62)

    return trio.run(all_of_it)


def test_what_there_is_is_shown(titan: Titan, place: Place):
    kept(place)
    assert titan("db", "cursors").out == "no durable cursor: the outbox is trimmed by age alone\n"
    assert json.loads(titan("db", "cursors", "--json").out) == []
    kept(place, "mqtt", "b\x1b[31m")
    shown = titan("db", "cursors").out.splitlines()
    assert [line.partition(":")[0] for line in shown] == ["b\\x1b[31m", "mqtt"]
    assert all(line.endswith("for 168 h more") for line in shown)
    rows = json.loads(titan("db", "cursors", "--json").out)
    assert [row["name"] for row in rows] == ["b\x1b[31m", "mqtt"]


def test_one_that_is_dropped_holds_up_nothing_any_more(titan: Titan, place: Place):
    kept(place, "gone", "mqtt")
    assert trim(place) == 0
    ended = titan("db", "cursors", "--drop", "gone")
    assert (ended.code, ended.out.splitlines()[0]) == (0, "gone: dropped")
    assert trim(place) == 0
    assert titan("db", "cursors", "--drop", "mqtt").code == 0
    assert trim(place) == 1
    again = titan("db", "cursors", "--drop", "mqtt")
    assert (again.code, again.err) == (1, "Error: there is no durable cursor mqtt\n")
