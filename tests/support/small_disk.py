"""A small file system of its own, to fill it up."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DISK_BYTES = 4 << 20
BALLAST_BYTES = 1 << 20


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount 4 MiB at `folder`, of which the file `ballast` takes one; skip the test where that cannot be done."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    try:
        (folder / "ballast").write_bytes(b"x" * BALLAST_BYTES)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
