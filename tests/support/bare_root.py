"""A root folder that holds glibc and the binary and nothing else: no Python, no shell, no /tmp; it can write to /state.

Programs in it see the host's network, their own /proc and /dev/null, and the environment that they are given: what
every container runtime gives. They run as a user of their own. Needs root, for chroot and mounts.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.binary.contents import GLIBC
from tests.support.server import Server, free_port, serving

USER = 65532
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
STATE = "/state"

# exec all the way: the process that a test started is the server, with no shell and no unshare above it.
ENTER = """
set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --bind /dev/null "$1/dev/null"
mount --bind "$2" "$1/state"
mount -o remount,bind,ro "$1"
shift 2
exec env -i "$@"
"""


class BareRoot:
    """One such root below `folder`."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self.path = folder / "root"
        self.state = folder / "state"
        for name in ("proc", "dev", "state"):
            (self.path / name).mkdir(parents=True)
        self.state.mkdir()
        os.chown(self.state, USER, USER)
        (self.path / "dev/null").touch()
        (self.path / "dev/fd").symlink_to("/proc/self/fd")
        shutil.copy(binary, self.path / "titan")
        for library in _glibc():
            target = self.path / library.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)

    def command(self, *arguments: str, program: str = "/titan", **environment: str) -> list[str]:
        """Return the command that runs `/titan ARGUMENTS` inside, with this environment alone."""
        given = {"TITAN_DATA_DIR": STATE, **environment}
        chroot = [_tool("chroot"), f"--userspec={USER}:{USER}", str(self.path), program, *arguments]
        entered = [*(f"{name}={value}" for name, value in given.items()), *chroot]
        return [_tool("unshare"), "--mount", _tool("sh"), "-c", ENTER, "sh", str(self.path), str(self.state), *entered]

    def titan(self, *arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command inside to its end, which must be with this exit code."""
        return _run(self.command(*arguments, **environment), code)

    def python(self, source: str, *arguments: str) -> str:
        """Have the Python that was unpacked run some source inside, as it runs ours; return what it printed."""
        inside = f"{STATE}/program/{own(self).name}"
        sealed = {"PYTHONHOME": inside, "PYTHONPATH": f"{inside}/app", "LD_LIBRARY_PATH": f"{inside}/lib"}
        program = f"{inside}/bin/titan"
        return _run(self.command("-P", "-c", source, *arguments, program=program, **sealed), 0).stdout

    @property
    def program(self) -> Path:
        """Where the binary unpacks itself, as seen from outside."""
        return self.state / "program"


@contextlib.contextmanager
def serving_inside(root: BareRoot, **environment: str) -> Iterator[Server]:
    """Run a ready server inside for the time of the block."""
    port = free_port()
    command = root.command("serve", TITAN_PORT=str(port), **environment)
    with serving(root.state.parent / "outside", port=port, program=command) as server:
        yield server


def family(root: BareRoot) -> set[int]:
    """Return every process that runs the Python which was unpacked inside."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            is_ours = (entry / "exe").readlink().match("*/program/*/bin/titan")
            if is_ours and str(root.state) in (entry / "mountinfo").read_text():
                found.add(int(entry.name))
    return found


def folders(root: BareRoot) -> list[str]:
    """Name what lies where the binary unpacks itself."""
    return sorted(path.name for path in root.program.iterdir() if path.name != "lock")


def own(root: BareRoot) -> Path:
    """Return the folder of what the binary unpacked, as seen from outside."""
    [name] = folders(root)
    return root.program / name


def _run(command: Sequence[str], code: int) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def _tool(name: str) -> str:
    found = shutil.which(name, path=PATH)
    assert found, f"{name} is not installed"
    return found


def _glibc() -> Sequence[Path]:
    """Return glibc's files under the paths at which programs here look for them."""
    listed = subprocess.run(["ldd", _tool("sh")], capture_output=True, text=True, check=True).stdout.split()
    loader = next(Path(word) for word in listed if word.startswith("/") and "ld-linux" in word)
    libc = next(Path(word) for word in listed if word.startswith("/") and "libc.so" in word)
    return [loader, *(path for path in libc.parent.iterdir() if GLIBC.fullmatch(path.name) and "ld-" not in path.name)]
