"""Runs a program under the hardening of a unit file, as far as that can be had without systemd.

`python -m tests.support.sandbox UNIT PROGRAM…` applies SystemCallFilter=, SystemCallErrorNumber=,
RestrictAddressFamilies=, RestrictNamespaces=, MemoryDenyWriteExecute= and NoNewPrivileges= to itself, through
libseccomp and the kernel, and then becomes the program. `hardened` is the whole command.
"""

import ctypes
import errno
import functools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.systemd import UNIT, Unit

CONFINED = (sys.executable, "-m", "tests.support.sandbox", str(UNIT))
"""The command that runs what follows under all of it that takes no root."""

_NO_NEW_PRIVILEGES, _MEMORY_DENY_WRITE_EXECUTE, _REFUSE_EXEC_GAIN = 38, 65, 1  # linux/prctl.h
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EQUAL = 4
_FAMILIES = range(46)  # AF_MAX of linux/socket.h


class _Compare(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


@functools.cache
def missing() -> str:
    """Say why programs cannot be put under a filter here; empty: they can."""
    if sys.platform != "linux":
        return "system call filters are Linux'"
    try:
        ctypes.CDLL("libseccomp.so.2")
        subprocess.run(["systemd-analyze", "--version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)
    return ""


def hardened(writable: Path) -> list[str]:
    """Return the command that runs what follows under all that there is here; skip the test where there is nothing.

    As root also ProtectSystem=strict, but for one folder, and CapabilityBoundingSet=.
    """
    if problem := missing():
        pytest.skip(problem)
    if os.geteuid() != 0:
        return [*CONFINED]
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro / && exec "$@"'
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    return ["unshare", "--mount", "sh", "-c", script, str(writable), *drop, *CONFINED]


def allowed_calls(unit: Unit) -> set[str]:
    """Return the names of the system calls that a unit's lists leave: the first one allows, those with ~ take away."""
    groups: dict[str, list[str]] = {}
    command = ["systemd-analyze", "syscall-filter", "--no-pager"]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        if line.startswith("@"):
            members = groups[line.strip()] = []
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.append(line.strip())

    def names(word: str) -> Iterator[str]:
        if word.startswith("@"):
            for member in groups[word]:
                yield from names(member)
        else:
            yield word

    allowed = set(names("@default"))
    for line in unit.settings["SystemCallFilter"]:
        listed = {name for word in line.removeprefix("~").split() for name in names(word)}
        allowed = allowed - listed if line.startswith("~") else allowed | listed
    return allowed


class _Filter:
    """A filter under construction."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._filter = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))

    def rule(self, action: int, name: str, *compare: _Compare) -> None:
        """Add a rule; a call that this machine has not is passed over."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            return
        array = (_Compare * max(1, len(compare)))(*compare)
        status = self._library.seccomp_rule_add_array(self._filter, action, number, len(compare), array)
        assert status == 0 or number < 0, f"{name}: {os.strerror(-status)}"

    def load(self) -> None:
        """Let it hold from now on, for this process and all that it starts."""
        status = self._library.seccomp_load(self._filter)
        assert status == 0, os.strerror(-status)


def apply(unit: Unit) -> None:
    """Put this process under what the unit says; there is no way back."""
    _prctl(_NO_NEW_PRIVILEGES)
    families = {int(getattr(socket, name)) for name in unit.words("RestrictAddressFamilies")}
    assert unit.one("RestrictNamespaces") == unit.one("MemoryDenyWriteExecute") == "yes"
    arguments = _Filter(_ALLOW)
    for family in set(_FAMILIES) - families:
        arguments.rule(_ERRNO | errno.EAFNOSUPPORT, "socket", _Compare(0, _EQUAL, family, 0))
    arguments.rule(_ERRNO | errno.EPERM, "unshare")
    arguments.rule(_ERRNO | errno.EPERM, "setns")
    arguments.load()
    calls = _Filter(_ERRNO | getattr(errno, unit.one("SystemCallErrorNumber")))
    for name in allowed_calls(unit):
        calls.rule(_ALLOW, name)
    _prctl(_MEMORY_DENY_WRITE_EXECUTE)
    calls.load()


def _prctl(option: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, _REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


if __name__ == "__main__":
    apply(Unit.read(Path(sys.argv[1])))
    os.execvp(sys.argv[2], sys.argv[2:])
