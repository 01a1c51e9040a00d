"""Folders are searched whole, in order, without falling into loops; what is not read yet is named."""

import os
from pathlib import Path

from titan.cli.transfer.files import MAX_NESTING, Candidate, Unreadable, find, open_file


def names(root: Path) -> list[str]:
    return [str(item.path.relative_to(root)) for item in find([root]) if isinstance(item, Candidate)]


def test_folders_are_searched_with_all_below_in_order(tmp_path):
    for name in ("b.json", "a/z.JSON", "a/b/c.json", "note.txt", ".hidden.json", ".git/x.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert names(tmp_path) == ["b.json", "a/z.JSON", "a/b/c.json"]


def test_links_are_followed_and_loops_end(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/one.json").touch()
    (tmp_path / "real/up").symlink_to("..")
    (tmp_path / "real/self").symlink_to(".")
    (tmp_path / "two.json").symlink_to("real/one.json")
    assert names(tmp_path) == ["two.json", "real/one.json"]


def test_other_formats_are_named_and_never_passed_over(tmp_path):
    for name in ("a.aasx", "b.XML", "c.json"):
        (tmp_path / name).touch()
    refused = [(item.path.name, item.reason) for item in find([tmp_path]) if isinstance(item, Unreadable)]
    assert refused == [("a.aasx", "AASX files come in a later version"), ("b.XML", "XML files come in a later version")]
    assert isinstance(next(find([tmp_path / "a.aasx"])), Unreadable)


def test_a_named_file_is_taken_whatever_its_ending(tmp_path):
    assert list(find([tmp_path / "environment"])) == [Candidate(tmp_path / "environment")]


def test_a_folder_without_any_is_named(tmp_path):
    (tmp_path / "note.txt").touch()
    assert list(find([tmp_path])) == [Unreadable(tmp_path, "holds no .json file")]


def test_folders_nested_without_end_are_named(tmp_path):
    deepest = tmp_path.joinpath(*(["d"] * (MAX_NESTING + 1)))
    deepest.mkdir(parents=True)
    (deepest / "x.json").touch()
    [item] = find([tmp_path])
    assert isinstance(item, Unreadable)
    assert "folders deep" in item.reason


def test_opening_never_waits_and_leaves_no_descriptor_behind(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert open_file(tmp_path / "pipe") == "is no regular file"
    assert open_file(tmp_path) == "is no regular file"
    assert open_file(Path("/dev/zero")) == "is no regular file"
    assert open_file(tmp_path / "nowhere") == "cannot be opened: No such file or directory"
    assert len(list(Path("/proc/self/fd").iterdir())) == before
