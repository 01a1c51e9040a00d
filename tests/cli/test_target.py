"""A file appears whole or not at all, and never over another one unasked."""

import errno
import os
from pathlib import Path

import pytest

from titan.cli.transfer.target import Occupied, whole_file


def put(target: Path, content: bytes, *, overwrite: bool = False) -> None:
    with whole_file(target, overwrite=overwrite) as file:
        file.write(content)


def test_it_is_not_there_before_it_is_whole(tmp_path):
    with whole_file(tmp_path / "out", overwrite=False) as file:
        file.write(b"half")
        file.flush()
        assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    put(tmp_path / "out", b"old")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "out", overwrite=True) as file:  # noqa: PT012
        file.write(b"new")
        raise RuntimeError
    assert (tmp_path / "out").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_one_that_came_into_being_meanwhile_is_not_overwritten(tmp_path):
    with pytest.raises(Occupied, match="meanwhile"), whole_file(tmp_path / "out", overwrite=False) as file:  # noqa: PT012
        file.write(b"ours")
        (tmp_path / "out").write_bytes(b"theirs")
    assert (tmp_path / "out").read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_system_without_hard_links_will_do(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    put(tmp_path / "out", b"whole")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_another_error_while_it_is_put_in_place_is_raised(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OSError, match="Input/output error"):
        put(tmp_path / "out", b"whole")
    assert list(tmp_path.iterdir()) == []
