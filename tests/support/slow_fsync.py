"""A disk whose every fsync takes long: a library that is preloaded into the server and its child processes."""

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


def slow_fsync(folder: Path, delay_s: float) -> dict[str, str]:
    """Build the library into `folder`; return the variables to start a server with (`Server(settings=...)`)."""
    library = folder / "slow_fsync.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "SLOW_FSYNC_MS": str(round(delay_s * 1000))}
