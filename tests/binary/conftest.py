"""The binary, built once for all of these tests and kept for the next run while nothing that goes into it changes."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from deploy.binary.build import ROOT, Built, build
from tests.support.bare_root import BareRoot


@pytest.fixture(scope="session")
def built() -> Built:
    """What `./dev binary` builds, in a folder of the tests' own."""
    if sys.platform != "linux":
        pytest.skip("the binary is for Linux")
    return build(ROOT / "build" / "binary")


@pytest.fixture
def bare(tmp_path: Path, built: Built) -> BareRoot:
    """A root with glibc and the binary alone, nothing unpacked yet."""
    if os.geteuid() != 0:
        pytest.skip("only root can change the root folder and mount")
    return BareRoot(tmp_path, built.path)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory, built: Built) -> BareRoot:
    """One for several tests, that unpacked itself when it was first asked for its version."""
    if os.geteuid() != 0:
        pytest.skip("only root can change the root folder and mount")
    root = BareRoot(tmp_path_factory.mktemp("unpacked"), built.path)
    assert root.titan("--version").stdout.startswith("titan ")
    return root


@pytest.fixture
def inside(unpacked: BareRoot) -> BareRoot:
    """The same with nothing in its state folder but what was unpacked."""
    for path in unpacked.state.iterdir():
        if path.is_dir() and path != unpacked.program:
            shutil.rmtree(path)
        elif path != unpacked.program:
            path.unlink()
    return unpacked
