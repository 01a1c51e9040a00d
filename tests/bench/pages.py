"""The 1,000th page of a list against the first: by the store alone and over HTTP."""

import json
import statistics
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import trio

from tests.bench import files, http, processes
from tests.bench.figures import Figure, Run, at_most
from tests.support.server import serving
from titan.store.contract import Kind
from titan.store.sqlite.store import open_sqlite_store

LIMIT = 10
DEEP = 1000
DOCUMENTS = LIMIT * DEEP + LIMIT  # one page behind the last one measured, so that both have a next page
SIZE = 1024
READS = 200


def measure(run: Run) -> Iterator[Figure]:
    """Fill one store; ask for both pages in turn."""
    run.say(f"importing {DOCUMENTS:,} documents of 1 KB")
    data_dir = run.folder / "data"
    processes.titan("import", str(files.folder(run.folder / "input", DOCUMENTS, SIZE)), data_dir=data_dir)
    run.say("store")
    yield figure("in the store", *trio.run(by_store, data_dir / "titan.db", run.rounds), unit="ms")
    run.say("HTTP")
    yield figure("over HTTP, 4 clients", *by_http(data_dir, run), unit="ms")


def figure(where: str, first: list[float], deep: list[float], *, unit: str) -> Figure:
    """Return the cost of the deep page in costs of the first one."""
    ratios = [b / a for a, b in zip(first, deep, strict=True)]
    detail = f"{statistics.median(deep) * 1e3:.3g} {unit} against {statistics.median(first) * 1e3:.3g} {unit}"
    name = f"Page 1,000 of {LIMIT} documents, {where}"
    return Figure("pages", name, statistics.median(ratios), "× page 1", at_most(1.2), detail)


async def by_store(path: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return the median seconds of both pages, one pair for each round."""
    async with open_sqlite_store(path) as store:
        after = 0
        for _ in range(DEEP - 1):
            page = await store.page(Kind.SUBMODEL, after=after, limit=LIMIT)
            assert page.next_after is not None
            after = page.next_after

        async def cost_s(position: int) -> float:
            took_s = []
            for _ in range(READS):
                began = time.perf_counter()
                page = await store.page(Kind.SUBMODEL, after=position, limit=LIMIT)
                took_s.append(time.perf_counter() - began)
                assert len(page.items) == LIMIT
            return statistics.median(took_s)

        pairs = [(await cost_s(0), await cost_s(after)) for _ in range(rounds)]
    return [first for first, _ in pairs], [deep for _, deep in pairs]


def by_http(data_dir: Path, run: Run) -> tuple[list[float], list[float]]:
    """Return the mean seconds of an answer for both pages, one pair for each round."""
    server = run.closing.enter_context(serving(data_dir))
    first = f"{server.url}/submodels?limit={LIMIT}"
    deep = first
    for _ in range(DEEP - 1):
        with urllib.request.urlopen(deep) as answer:
            cursor = json.load(answer)["paging_metadata"]["cursor"]
        deep = f"{first}&cursor={quote(cursor)}"
    pairs = [
        (1 / http.rate(first, run.seconds, clients=4), 1 / http.rate(deep, run.seconds, clients=4))
        for _ in range(run.rounds)
    ]
    return [a for a, _ in pairs], [b for _, b in pairs]
