"""What is inside the binary: this Python and the libraries that it needs, the locked packages, our code, documents.

    bin/titan        the interpreter                lib/*.so.*          libraries that it needs, but for glibc
    lib/python3N.zip its library, less what a       lib/python3.N/      compiled modules of its library
                     server never uses, and every   app/                titan, supervisors, packages that are more
                     package that is code alone                         than code
    doc/             README, deploy/, config/       licences/           of everything that others wrote

Nothing is found by following imports: what the lock names is inside, so that no import can be missed.
"""

import compileall
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from py_compile import PycInvalidationMode

from packaging.requirements import Requirement

from deploy.binary.archive import bundle

STDLIB = Path(os.__file__).parent
EXTENSIONS = STDLIB / "lib-dynload"
OURS = ("titan", "supervisors")
DOCUMENTS = ("README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "deploy", "config")

NOT_OF_STDLIB = {
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "lib2to3", "venv", "curses"),
    *("distutils", "pydoc_data", "site-packages", "dist-packages", "lib-dynload", "__pycache__"),
}
NOT_OF_EXTENSIONS = re.compile(r"_test|_tkinter|_curses|readline|xx|_xxtest|nis\.|ossaudiodev|_crypt\.|_g?dbm")
NOT_OF_PACKAGES = re.compile(
    r"(^|/)(_?tests?|__pycache__)/|\.(pyi|pyx|pxd|pxi|c|h|cpp|pth)$|/py\.typed$|^\.\./|\.dist-info/(?!METADATA|entry_points)"
)
"""Tests, sources of what is compiled, commands, and what says how the package came into this environment."""

LICENCE = re.compile(r"\.dist-info/(?:licenses/(.+)|([^/]*(?:LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*))$")

GLIBC = re.compile(r"(ld-linux.*|linux-vdso|lib(c|m|dl|pthread|rt|util|resolv|anl|nsl|BrokenLocale|mvec))\.so.*")
_ELF = b"\x7fELF"


class CannotBuild(Exception):
    """The binary cannot be built here; the text says why."""


def collect(root: Path, tree: Path) -> list[Path]:
    """Lay out the whole contents below `tree`, an empty folder; `root` is the checkout. Raises `CannotBuild`.

    Returns which of the system's shared libraries went in.
    """
    sources = [*_python(tree), *_packages(root / "requirements.lock", tree / "app")]
    for folder in (tree / "lib", tree / "app"):
        _compile(folder, keep_source=False)
    bundle(tree)
    for name in OURS:
        shutil.copytree(root / name, tree / "app" / name, ignore=shutil.ignore_patterns("__pycache__"))
        _compile(tree / "app" / name, keep_source=True)
    _documents(root, tree / "doc")
    libraries = _libraries(sources)
    for path in libraries:
        shutil.copy(path, tree / "lib" / path.name)
    _licences(libraries, tree / "licences")
    _strip(tree)
    return libraries


def glibc_floor(files: Iterable[Path]) -> str:
    """Return the oldest glibc that has every symbol which one of the files asks for, as "2.36"."""
    versions = {
        tuple(map(int, found.split(b".")))
        for path in _elves(files)
        for found in re.findall(rb"\0GLIBC_(2\.\d+)", path.read_bytes())
    }
    return ".".join(map(str, max(versions)))


def _python(tree: Path) -> Iterator[Path]:
    """Copy the interpreter and its library; yield what may need shared libraries, where it came from."""
    interpreter = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]  # noqa: SLF001  (not the venv's link)
    (tree / "bin").mkdir(parents=True)
    shutil.copy(interpreter, tree / "bin" / "titan")
    library = tree / "lib" / STDLIB.name
    shutil.copytree(STDLIB, library, ignore=lambda _, names: [name for name in names if _is_no_use(name)])
    (library / EXTENSIONS.name).mkdir()
    yield interpreter
    for path in sorted(EXTENSIONS.glob("*.so")):
        if not NOT_OF_EXTENSIONS.match(path.name):
            shutil.copy(path, library / EXTENSIONS.name)
            yield path


def _is_no_use(name: str) -> bool:
    return name in NOT_OF_STDLIB or name.startswith("config-")


def _packages(lock: Path, app: Path) -> Iterator[Path]:
    """Copy every package of the lock, as pip installed it after comparing its hash; yield what was copied.

    Licences go where those of Python and of the libraries go: lib/python3N.zip is nothing that people read in.
    """
    for requirement in locked(lock):
        try:
            distribution = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            raise CannotBuild(f"{requirement} is locked, but not installed") from None
        if not requirement.specifier.contains(distribution.version, prereleases=True):
            raise CannotBuild(f"{requirement} is locked, but {distribution.version} is installed")
        for file in distribution.files or ():
            source = Path(str(file.locate()))
            if licence := LICENCE.search(file.as_posix()):
                _copy(source, app.parent / "licences" / requirement.name / (licence[1] or licence[2]))
            elif not NOT_OF_PACKAGES.search(file.as_posix()):
                if file.parts[0].removesuffix(".py") in sys.stdlib_module_names:
                    raise CannotBuild(f"{requirement.name} would hide the standard library's {file.parts[0]}")
                _copy(source, app / file)
                yield source


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def locked(lock: Path) -> Iterator[Requirement]:
    """Read what a lock asks for on this platform."""
    for line in lock.read_text().splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement


def _documents(root: Path, doc: Path) -> None:
    doc.mkdir()
    for name in DOCUMENTS:
        if (root / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.py", "*.c", "*.h")
            shutil.copytree(root / name, doc / name, ignore=ignored)
        else:
            shutil.copy(root / name, doc / name)


def _libraries(programs: Iterable[Path]) -> list[Path]:
    """Return the shared libraries that these load, also by way of others, but for glibc and what packages bring."""
    found: dict[str, Path] = {}
    for program in _elves(programs):
        listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True)
        for name, path in re.findall(r"^\s+(\S+) => (.+?)(?: \(0x[0-9a-f]+\))?$", listed.stdout, re.MULTILINE):
            if GLIBC.fullmatch(name) or "site-packages" in path:
                continue
            if path == "not found":
                raise CannotBuild(f"{program} needs {name}, which is not there")
            found[name] = Path(path)
    return [found[name] for name in sorted(found)]


def _elves(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4) == _ELF:
                    yield path


def _licences(libraries: Iterable[Path], folder: Path) -> None:
    """Take along what those who wrote the libraries ask to be taken along."""
    own = STDLIB / "LICENSE.txt"
    interpreter = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]  # noqa: SLF001
    shutil.copy(own if own.exists() else _copyright(interpreter), folder / "python")
    for library in libraries:
        if not library.name.startswith("libpython"):
            shutil.copy(_copyright(library), folder / library.name.partition(".so")[0])


def _copyright(path: Path) -> Path:
    """Return Debian's file about the package that a file is of."""
    if not shutil.which("dpkg"):
        raise CannotBuild("it is built on Debian or Ubuntu, whose dpkg says which licence a library has")
    for candidate in dict.fromkeys((path, path.resolve(), Path("/usr", *path.resolve().parts[1:]))):
        owner = subprocess.run(["dpkg", "-S", str(candidate)], capture_output=True, text=True, check=False)
        if owner.returncode == 0:
            return Path("/usr/share/doc", owner.stdout.partition(":")[0], "copyright")
    raise CannotBuild(f"no package owns {path}: its licence cannot be taken along (dpkg -S finds nothing)")


def _strip(tree: Path) -> None:
    """Drop the symbols that only a debugger reads: two thirds of some files."""
    elves = [str(path) for path in _elves(tree.rglob("*"))]
    subprocess.run(["strip", "--strip-unneeded", *elves], check=True)


def _compile(folder: Path, *, keep_source: bool) -> None:
    """Compile all code once, here: what is unpacked is never written to.

    Source lines of our own code stay for tracebacks and for alembic; of the rest they would be a third of everything.
    """
    mode = PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(
        folder, quiet=2, legacy=not keep_source, stripdir=str(folder), invalidation_mode=mode
    ):
        raise CannotBuild(f"not all code below {folder} can be compiled")
    if not keep_source:
        for source in folder.rglob("*.py"):
            source.unlink()
