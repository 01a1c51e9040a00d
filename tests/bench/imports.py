"""Documents a second by `titan import`: wall time of the whole process, start of Python and schema included."""

import statistics
import time
from collections.abc import Iterator

from tests.bench import files, processes
from tests.bench.figures import Figure, Run, at_least, spread

DOCUMENTS = 4000


def measure(run: Run) -> Iterator[Figure]:
    """Import the same folder into a fresh store, a few times."""
    source = files.folder(run.folder / "input", DOCUMENTS)
    per_s = []
    for turn in range(min(run.rounds, 3)):
        run.say(f"importing {DOCUMENTS:,} documents of 4 KB, turn {turn + 1}")
        began = time.monotonic()
        processes.titan("import", str(source), data_dir=run.folder / f"store-{turn}")
        per_s.append(DOCUMENTS / (time.monotonic() - began))
    name = "`titan import` of documents of 4 KB"
    yield Figure("import", name, statistics.median(per_s), "/s", at_least(800), spread(per_s))
