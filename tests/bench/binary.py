"""What the single binary costs: its size, a first start that unpacks it, a later one, a command."""

import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.binary.build import ROOT, build
from tests.bench.figures import Figure, Run, at_most, spread
from tests.bench.start import first_answer_s
from tests.support.server import clean_environment


def measure(run: Run) -> Iterator[Figure]:
    """Build it unless it is there, then start it again and again: in new folders, in one that it knows."""
    run.say("building")
    built = build(ROOT / "build" / "binary")
    yield Figure(
        "binary", "Size of the binary", built.size_bytes / 1e6, "MB", at_most(80), f"for glibc >= {built.glibc}"
    )
    known = [run.folder / "first-0"] * run.rounds
    for name, folders in (
        (
            "Binary, start to first answer, nothing unpacked",
            [run.folder / f"first-{turn}" for turn in range(run.rounds)],
        ),
        ("Binary, start to first answer, unpacked before", known),
    ):
        run.say(name)
        took_s = [first_answer_s(folder, [str(built.path), "serve"]) for folder in folders]
        yield Figure("binary", name, statistics.median(took_s), "s", at_most(3.0), spread(took_s))
    took_s = [_version_s(built.path, folder) for folder in known]
    yield Figure("binary", "Binary, `titan --version`", statistics.median(took_s), "s", at_most(0.5), spread(took_s))


def _version_s(binary: Path, data_dir: Path) -> float:
    began = time.monotonic()
    environment = clean_environment({"TITAN_DATA_DIR": str(data_dir)})
    subprocess.run([binary, "--version"], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began
