"""What deploy/docker/Containerfile makes, made and run without a container engine: its steps in a chroot.

Not shown by it: that the base image exists and holds what this machine's /usr and Python stand in for here. The rest is
as an engine does it: each stage has a root of its own, steps run as root in it and see no more of this machine; a
container has its own mounts and processes, no capability, and a root that is read-only. The network is this machine's.
Needs root.
"""

import hashlib
import os
import posixpath
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.containerfile import Copy, Enter, Run, Stage, read
from tests.support.server import ROOT

CONTAINERFILE = ROOT / "deploy" / "docker" / "Containerfile"
KEPT = ROOT / "build" / "image"
BUILT_WITHIN_S = 240.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ETC = "passwd group hosts resolv.conf nsswitch.conf ld.so.conf ld.so.conf.d ssl pip.conf"
# What an engine hands to RUN as well (proxies) or a builder configures (where libraries come from).
_BUILDERS = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE")
# Too large to copy and of no use to a server; a base image has some of them and the steps remove them.
_LEFT_OUT = shutil.ignore_patterns(
    "test", "tests", "idlelib", "tkinter", "turtledemo", "config-*", "site-packages", "*.opt-?.pyc"
)


def missing() -> str:
    """Say why this cannot be done here, if so."""
    if os.geteuid() != 0:
        return "a chroot is made by root only"
    try:
        subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no namespaces here: {error}"
    return ""


@dataclass(frozen=True)
class Image:
    """Files, and how its last stage says that they are run."""

    root: Path
    stage: Stage

    def command(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        user: int,
        mounts: Mapping[str, Path],
        volume: Path | None = None,
        entry: Sequence[str] | None = None,
    ) -> list[str]:
        """Return what runs a container to its end: root read-only, `mounts` (by their place) too, no capability.

        `volume` is what can be written, in the folder that the image works in. `entry` instead of the ENTRYPOINT. The
        process is the only child of the one that is started with this.
        """
        entry = self.stage.commands["ENTRYPOINT"] if entry is None else entry
        whole = {**self.stage.environment, **environment}
        places = [_bind(source, self.root / place.lstrip("/")) for place, source in mounts.items()]
        if volume is not None:
            places.append(_bind(volume, self.root / self.stage.folder.lstrip("/"), "rw"))
        for place in mounts:  # an engine makes them, too
            (self.root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
        drop = (
            f"setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
        )
        inner = f"cd {shlex.quote(self.stage.folder)} && exec {drop} -- {shlex.join([*entry, *arguments])}"
        return _unshared(self.root, inner, whole, [_bind(self.root, self.root), *_system(self.root, "ro"), *places])


def build(folder: Path) -> Image:
    """Carry out the Containerfile's steps; a step that fails carries its output.

    As engines do it, what a RUN makes of nothing but single files is kept for the next time: the installed libraries.
    """
    base = _base(folder / "base")
    roots: dict[str, Path] = {}
    stages = read(CONTAINERFILE)
    for stage in stages:
        root = folder / stage.name
        subprocess.run(["cp", "-al", base, root], check=True)
        roots[stage.name] = root
        made_of: list[bytes] | None = [f"{sys.version} {sys.base_prefix}".encode()]
        inside = "/"
        for step in stage.steps:
            match step:
                case Enter(folder=inside):
                    (root / inside.lstrip("/")).mkdir(parents=True, exist_ok=True)
                case Copy():
                    _copy(step, root, inside, roots)
                    made_of = _with(made_of, step)
                case Run():
                    command = f"cd {shlex.quote(inside)} && {step.command}"
                    run = partial(_run, root, command, stage.environment | stage.arguments)
                    if made_of is None or len(made_of) == 1:
                        run()
                    else:
                        made_of.append(command.encode())
                        _kept(root, hashlib.sha256(b"\0".join(made_of)).hexdigest(), run)
    return Image(roots[stages[-1].name], stages[-1])


def _with(made_of: list[bytes] | None, step: Copy) -> list[bytes] | None:
    """Add what is copied; None, once folders are: they change with every commit."""
    if made_of is None or step.stage is not None or any((ROOT / name).is_dir() for name in step.sources):
        return None
    return [*made_of, *((ROOT / name).read_bytes() for name in step.sources)]


def _kept(root: Path, key: str, run: Callable[[], None]) -> None:
    """Carry out a step, or take what it made last time of the same things; one of them is kept, by links."""
    kept = KEPT / key
    if kept.is_dir() and _is_untouched(kept):
        shutil.rmtree(root)
        subprocess.run(["cp", "-al", kept, root], check=True)
        return
    try:
        run()
    except AssertionError:  # most of it is done by the package index, which is not what is tested: once more
        run()
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    half = KEPT / "half"
    subprocess.run(["cp", "-al", root, half], check=True)
    half.rename(kept)
    os.utime(kept)


def _is_untouched(kept: Path) -> bool:
    """Tell whether no file was changed in place since: links do not keep a later step from that."""
    files = (path for path in kept.rglob("*") if path.is_file() and not path.is_symlink())
    return all(path.stat().st_mtime <= kept.stat().st_mtime for path in files)


def _base(root: Path) -> Path:
    """Make what stands in for the base image: this machine's /usr (mounted later), its Python in /usr/local."""
    for name in ("usr", "etc", "proc", "dev", "tmp", "opt", "var/cache", "run", ".local/bin", ".local/lib"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name in _ETC.split():
        if Path("/etc", name).exists():
            subprocess.run(["cp", "-a", f"/etc/{name}", root / "etc"], check=True)
    home = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if home != Path("/usr"):
        shutil.copytree(home / "lib" / version, root / ".local/lib" / version, symlinks=True, ignore=_LEFT_OUT)
        (root / ".local/lib" / version / "site-packages/pip").mkdir(parents=True)
        for library in (home / "lib").glob("libpython*.so*"):
            shutil.copy2(library, root / ".local/lib")
        shutil.copy2(home / "bin" / version, root / ".local/bin")
    else:
        (root / ".local/bin" / version).symlink_to(f"/usr/bin/{version}")
    (root / ".local/bin/python3").symlink_to(version)
    _run(root, "ldconfig", {})
    return root


def _copy(step: Copy, root: Path, inside: str, roots: Mapping[str, Path]) -> None:
    target = root / posixpath.join(inside, step.target).lstrip("/")
    for name in step.sources:
        if step.stage is not None:
            subprocess.run(["cp", "-al", roots[step.stage] / name.lstrip("/"), target], check=True)
            continue
        assert name in sent_to_the_engine(), f"{name} is kept back by .dockerignore"
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, target)


def sent_to_the_engine() -> set[str]:
    """Return the names at the root of a checkout that .dockerignore lets through."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert (lines[0], lines[-1]) == ("*", "**/__pycache__")
    return {line.removeprefix("!") for line in lines[1:-1]}


def _run(root: Path, command: str, environment: Mapping[str, str]) -> None:
    given = {name: value for name, value in os.environ.items() if name.startswith(_BUILDERS)}
    done = subprocess.run(
        _unshared(root, command, {"PATH": _PATH, **given, **environment}, _system(root, "rw")),
        capture_output=True,
        text=True,
        timeout=BUILT_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def _unshared(root: Path, command: str, environment: Mapping[str, str], mounts: Sequence[str]) -> list[str]:
    clean = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    script = "\n".join([*mounts, f"exec chroot {root} {shlex.join([*clean, 'sh', '-c', command])}"])
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", script]


def _system(root: Path, libraries: str) -> list[str]:
    """Mount what is this machine's; `libraries`: whether /usr/local may be changed, ro or rw."""
    return [
        _bind(Path("/usr"), root / "usr"),
        _bind(root / ".local", root / "usr/local", libraries),
        f"mount --rbind /dev {root}/dev",
        f"mount -t proc proc {root}/proc",
    ]


def _bind(source: Path, target: Path, mode: str = "ro") -> str:
    return f"mount --bind {source} {target} && mount -o remount,bind,{mode} {target}"
