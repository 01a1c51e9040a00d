"""Builds the binary: the launcher, compiled here, and the contents behind it, laid out as launcher/launcher.c says."""

import hashlib
import json
import os
import platform
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import lz4.block

from deploy.binary.contents import DOCUMENTS, OURS, CannotBuild, collect, glibc_floor
from titan.version import __version__

ROOT = Path(__file__).parents[2]
LAUNCHER = Path(__file__).with_name("launcher")
MAGIC = b"TITANBIN"
MAX_BYTES = 80_000_000
DIGEST_DIGITS = 12
"""By which the launcher knows its own leftovers: folder.c has the same number."""
HARDENED = (
    *("-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"),
    *("-fPIE", "-pie", "-Wl,-z,relro,-z,now", "-s"),
)


@dataclass(frozen=True)
class Built:
    """A binary, and what a user must know about it."""

    path: Path
    size_bytes: int
    glibc: str
    """The oldest version that it runs with."""
    is_new: bool


def build(folder: Path) -> Built:
    """Build the binary in `folder`, unless what is there was made from the same inputs. Raises `CannotBuild`."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        raise CannotBuild("the binary is for Linux with glibc")
    path = folder / f"titan-aas-{__version__}-linux-{platform.machine()}"
    stamp = path.with_name(f"{path.name}.inputs.json")
    inputs = _digest_of_inputs()
    if path.exists() and (glibc := _floor_if_current(stamp, inputs)):
        return Built(path, path.stat().st_size, glibc, is_new=False)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as temporary:
        tree, launcher, unfinished = (Path(temporary, name) for name in ("tree", "launcher", path.name))
        tree.mkdir()
        libraries = collect(ROOT, tree)
        _compile_launcher(launcher)
        glibc = glibc_floor([launcher, *tree.rglob("*")])
        _pack(launcher, tree, unfinished)
        if (size := unfinished.stat().st_size) > MAX_BYTES:
            raise CannotBuild(f"the binary has {size:,} bytes, more than {MAX_BYTES:,}")
        stamp.unlink(missing_ok=True)
        unfinished.rename(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
    stamp.write_text(json.dumps({"inputs": inputs, "glibc": glibc, "libraries": _state_of(map(str, libraries))}))
    return Built(path, size, glibc, is_new=True)


def _floor_if_current(stamp: Path, inputs: str) -> str | None:
    """Return the glibc of what was built from these inputs; None: from others, or the system's libraries are new."""
    if not stamp.exists():
        return None
    noted = json.loads(stamp.read_text())
    is_current = noted["inputs"] == inputs and noted["libraries"] == _state_of(noted["libraries"])
    return str(noted["glibc"]) if is_current else None


def _state_of(libraries: Iterable[str]) -> dict[str, int | None]:
    return {path: Path(path).stat().st_mtime_ns if Path(path).exists() else None for path in libraries}


def _digest_of_inputs() -> str:
    """Digest what the binary is made from: files of the checkout, and the Python that goes in."""
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix}".encode())
    for name in (*OURS, *DOCUMENTS, "requirements.lock"):
        path = ROOT / name
        for file in [path] if path.is_file() else _files(path):
            digest.update(f"\n{file.relative_to(ROOT)}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__")


def _compile_launcher(output: Path) -> None:
    command = [os.environ.get("CC", "cc"), "-std=c11", "-O2", "-Wall", "-Wextra", *HARDENED, "-o", str(output)]
    subprocess.run([*command, *map(str, sorted(LAUNCHER.glob("*.c")))], check=True)


def _pack(launcher: Path, tree: Path, output: Path) -> None:
    lines = []
    whole = hashlib.sha256()
    with output.open("wb") as file:
        file.write(launcher.read_bytes())
        for path in sorted(tree.rglob("*")):
            name = path.relative_to(tree).as_posix()
            if path.is_dir():
                lines.append(f"d 0 0 0 {name}\n")
                continue
            content = path.read_bytes()
            packed = lz4.block.compress(content, mode="high_compression", store_size=False)
            lines.append(
                f"{'x' if name.startswith('bin/') else 'f'} {len(content)} {len(packed)} {file.tell()} {name}\n"
            )
            file.write(packed)
            whole.update(content)
        assert all(line.count("\n") == 1 for line in lines)
        whole.update("".join(lines).encode())
        index = f"{__version__}-{whole.hexdigest()[:DIGEST_DIGITS]}\n{''.join(lines)}".encode()
        at = file.tell()
        file.write(index)
    with output.open("r+b") as file:
        checksum = zlib.crc32(file.read())
        file.write(struct.pack("=8sQQQ", MAGIC, at, len(index), checksum))
    output.chmod(0o755)
