"""A disk whose every fsync takes long: a library that is preloaded into the server and its child processes."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")

MISSING = None if shutil.which("cc") else "needs a C compiler (cc)"
"""Why it cannot be used here, for `skipif`; None where it can."""


def slow_fsync(folder: Path, delay_s: float) -> dict[str, str]:
    """Build the library into `folder`; return the variables to start a server with (`Server(settings=...)`)."""
    library = folder / "slow_fsync.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return {
        "LD_PRELOAD": str(library),
        "SLOW_FSYNC_MS": str(round(delay_s * 1000)),
        "SLOW_FSYNC_LOG": str(folder / "fsync.log"),
        "FAIL_FSYNC": str(folder / "fail-fsync"),
    }


def callers(variables: Mapping[str, str]) -> list[int]:
    """Return the process of each fsync since, one entry per call."""
    log = Path(variables["SLOW_FSYNC_LOG"])
    return list(map(int, log.read_text().split())) if log.exists() else []
