"""What is inside the binary: all of it, and not more than it may weigh."""

import subprocess
from importlib import metadata

from deploy.binary.build import MAX_BYTES, ROOT, build
from deploy.binary.contents import OURS, locked
from tests.support.bare_root import own
from titan.version import __version__


def test_it_is_one_file_within_its_size_with_its_checksum(built):
    assert built.path.stat().st_size == built.size_bytes <= MAX_BYTES
    checked = subprocess.run(["sha256sum", "-c", f"{built.path.name}.sha256"], cwd=built.path.parent, check=False)
    assert checked.returncode == 0


def test_it_is_not_built_again_while_nothing_changes(built):
    again = build(built.path.parent)
    assert (again.path, again.size_bytes, again.glibc, again.is_new) == (
        built.path,
        built.size_bytes,
        built.glibc,
        False,
    )


def test_dev_binary_builds_it(built, tmp_path):
    for file in built.path.parent.iterdir():  # as good as built there
        (tmp_path / file.name).hardlink_to(file)
    done = subprocess.run([ROOT / "dev", "binary", tmp_path], capture_output=True, text=True, check=True)
    assert f"for glibc >= {built.glibc} (up to date)" in done.stdout


def test_code_migrations_documents_and_every_licence_are_inside(unpacked):
    folder = own(unpacked)
    for package in OURS:
        sources = sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))
        assert sources == sorted(path.relative_to(folder / "app") for path in (folder / "app" / package).rglob("*.py"))
        assert all((folder / "app" / source).read_bytes() == (ROOT / source).read_bytes() for source in sources)
    for document in ("README.md", "LICENSE", "deploy/config-reference.md", "config/titan.toml"):
        assert (folder / "doc" / document).read_bytes() == (ROOT / document).read_bytes()
    licensed = {path.name for path in (folder / "licences").iterdir()}
    needed = {line.name for line in locked(ROOT / "requirements.lock")}
    assert needed <= licensed
    assert {"python", "libssl", "libsqlite3"} <= licensed
    assert all(any(path.rglob("*")) for path in (folder / "licences").iterdir() if path.is_dir())


def test_it_says_its_version(unpacked):
    assert unpacked.titan("--version").stdout == f"titan {__version__}\n"


def test_every_module_of_ours_finds_what_it_imports_inside(unpacked):
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
        if "migrations" not in path.parts and path.name != "__main__.py"
    ]
    assert len(names) > 200
    code = "import importlib, sys; print(len([importlib.import_module(name) for name in sys.argv[1:]]))"
    assert unpacked.python(code, *names) == f"{len(names)}\n"


def test_each_package_of_the_lock_is_inside_in_the_version_that_was_locked(unpacked):
    names = [line.name for line in locked(ROOT / "requirements.lock")]
    code = "import importlib.metadata as m, sys; print(*(m.version(name) for name in sys.argv[1:]))"
    assert unpacked.python(code, *names).split() == [metadata.version(name) for name in names]
