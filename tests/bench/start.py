"""How long from exec to the first answer of the API."""

import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import files, processes
from tests.bench.figures import Figure, Run, at_most, spread
from tests.support.server import PROGRAM, Server

DOCUMENTS = 1000


def measure(run: Run) -> Iterator[Figure]:
    """Start the server again and again on a filled store, then each time in an empty folder."""
    filled = run.folder / "filled"
    run.say(f"importing {DOCUMENTS:,} documents")
    processes.titan("import", str(files.folder(run.folder / "input", DOCUMENTS)), data_dir=filled)
    for name, folders, target in (
        (f"Start to first answer, store of {DOCUMENTS:,} documents", [filled] * run.rounds, 1.2),
        ("Start to first answer, empty folder", [run.folder / f"empty-{turn}" for turn in range(run.rounds)], 2.5),
    ):
        run.say(name)
        took_s = [first_answer_s(folder) for folder in folders]
        yield Figure("start", name, statistics.median(took_s), "s", at_most(target), spread(took_s))


def first_answer_s(data_dir: Path, program: Sequence[str] = PROGRAM) -> float:
    """Start the server, return when it first answered a list with 200, stop it."""
    began = time.monotonic()
    server = Server(data_dir, program=program)
    try:
        processes.until_answer(server.port, "/submodels?limit=1")
        return time.monotonic() - began
    finally:
        server.stop()
