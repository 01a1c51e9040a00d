"""A data folder that this user cannot use, or only in part: one sentence that names the file and what to do."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from titan.store.sqlite.lock import serve_lock
from titan.store.sqlite.prepare import DataFolderUnusable, check_files, make_folder

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may write to and reach, unlike `tmp_path`."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Give up root's rights, for which no file is closed, inside the block."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def of_somebody_else(file: Path) -> None:
    file.touch()
    file.chmod(0o400 if os.geteuid() else 0o644)


@pytest.mark.parametrize("name", ["titan.db", "titan.db-wal", "titan.db-shm", "titan.db-turn"])
def test_a_file_that_another_user_made_is_named(folder, name):
    of_somebody_else(folder / name)
    with as_ordinary_user(), pytest.raises(DataFolderUnusable) as raised:
        check_files(folder / "titan.db")
    assert f"/{name} may not be read and written by this user" in str(raised.value)
    assert "give the data folder with all its files to the user that runs titan" in str(raised.value)


def test_the_lock_of_another_user_is_named(folder):
    of_somebody_else(folder / "titan.lock")
    with (
        as_ordinary_user(),
        pytest.raises(DataFolderUnusable, match=r"/titan\.lock may not be read"),
        serve_lock(folder / "titan.db"),
    ):
        pass


def test_files_of_ones_own_are_fine(folder):
    with as_ordinary_user():
        make_folder(folder)
        (folder / "titan.db").touch(0o600)
        check_files(folder / "titan.db")
        with serve_lock(folder / "titan.db"):
            pass
