"""The folder of a cluster: who runs it now, and what a run that was killed has left.

Every process of a cluster writes its log below the folder. So whatever has a file there open for writing belongs to it,
from the moment it is started, whatever became of who started it; a reader of a log, or a shell that stands in the
folder, does not. Needs /proc: Linux.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tests.support.postgres_programs import state

END_WITHIN_S = 40.0
"""How long a run that is told to end may take: an instance's hard deadline, and PostgreSQL's end."""
_LEFT_ALONE_S = 5.0


class Busy(Exception):
    """A cluster runs there already."""


class Unusable(Exception):
    """The folder is somebody else's, or holds something else; it is left as it is."""


def default() -> Path:
    """Return the folder of this user's cluster."""
    return Path(tempfile.gettempdir()) / f"titan-cluster-{os.getuid()}"


class Home:
    """One folder. Between `taken` and its end nobody else uses it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path / "titan-cluster.lock"

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Hold the folder, empty, for the time of the block, and remove it with all that runs in it at the end.

        What a run that was killed has left is ended first. Raises `Busy` and `Unusable`.
        """
        if not Path("/proc/self/fd").exists():
            raise Unusable("this machine does not say who writes which file (/proc): Linux only")
        with self._locked():
            self._clear()
            try:
                yield
            finally:
                self._clear()
                self._lock.unlink()
                with contextlib.suppress(OSError):  # another run has come since: the folder is its
                    self.path.rmdir()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        while (lock := self._try_lock()) is None:
            pass  # the run before has removed the folder in between
        with lock:
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def _try_lock(self) -> TextIO | None:
        try:
            self._look()
            lock = self._lock.open("a+")
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock.fileno()), self._lock.stat()):
                return lock
        except BlockingIOError:
            lock.close()
            raise Busy(f"a cluster runs already in {self.path}; ./dev cluster down ends it") from None
        except FileNotFoundError:
            pass
        lock.close()
        return None

    def _look(self) -> None:
        """Make the folder; refuse one that is not ours."""
        with contextlib.suppress(FileExistsError):
            self.path.mkdir()
            self.path.chmod(0o711)  # PostgreSQL's user has to get through
        about = self.path.lstat()
        if about.st_uid != os.getuid() or not stat.S_ISDIR(about.st_mode):
            raise Unusable(f"{self.path} is no folder of this user")
        if not self._lock.exists() and any(self.path.iterdir()):
            raise Unusable(f"{self.path} holds something else than a cluster, which would be deleted")

    def runner(self) -> int | None:
        """Return the process that holds the folder; None: nobody does."""
        try:
            with self._lock.open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(lock.read() or 0) or None
        except FileNotFoundError:
            pass
        return None

    def end(self) -> bool:
        """End the run there is, or what a killed one has left; say whether there was anything."""
        if not self.path.exists():
            return False
        if (pid := self.runner()) is not None:
            _signal(pid, signal.SIGTERM)
            deadline = time.monotonic() + END_WITHIN_S
            while state(pid) not in "XZ":
                if time.monotonic() > deadline:
                    _signal(pid, signal.SIGKILL)
                time.sleep(0.05)
        if self.path.exists():
            with self.taken():
                pass
        return True

    def _clear(self) -> None:
        """End every process of the folder and remove what is in it, but for the lock."""
        ends = time.monotonic() + _LEFT_ALONE_S
        told: set[int] = set()
        while left := self.processes():
            for pid in left:
                is_late = time.monotonic() > ends
                if is_late or pid not in told:
                    _signal(pid, signal.SIGKILL if is_late else signal.SIGTERM)
            told |= left
            time.sleep(0.02)
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != self._lock:
                entry.unlink()

    def processes(self) -> set[int]:
        """Return every process, but for this one, that has a file of the folder open for writing."""
        found = set()
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid() and self._writes(process):
                found.add(int(process.name))
        return found

    def _writes(self, process: Path) -> bool:
        with contextlib.suppress(FileNotFoundError, PermissionError, ProcessLookupError):
            for descriptor in (process / "fd").iterdir():
                opened = str(descriptor.readlink())
                is_here = opened.startswith(f"{self.path}/") and opened != str(
                    self._lock
                )  # which others may try to get
                if is_here and _is_for_writing(process, descriptor.name):
                    return True
        return False


def _is_for_writing(process: Path, descriptor: str) -> bool:
    flags = dict(line.split(":\t", 1) for line in (process / "fdinfo" / descriptor).read_text().splitlines()[:2])
    return int(flags["flags"], 8) & os.O_ACCMODE != os.O_RDONLY


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)  # one that is frozen hears nothing
        os.kill(pid, number)
