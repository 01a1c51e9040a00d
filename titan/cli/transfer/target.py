"""A file that appears under its name whole or not at all."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import click

_BUFFER_BYTES: Final = 1024 * 1024


class Occupied(click.UsageError):
    """Something is there that must not be overwritten; the text says what. Exit code 2."""


def check_target(path: Path, *, overwrite: bool) -> Path:
    """Return the file that is to be written, symbolic links followed, or raise `Occupied`."""
    target = path.resolve()
    if not os.path.lexists(target):
        return target
    if not target.is_file():
        raise Occupied(f"{path} exists and is no regular file (use - for standard output)")
    if not overwrite:
        raise Occupied(f"{path} exists (--force overwrites it)")
    return target


@contextmanager
def whole_file(target: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Open a file beside the target that takes its place, durably, when the block ends well; else nothing is left.

    Raises `Occupied` if the target came into being meanwhile and may not be overwritten, `OSError` as the file system
    does. An existing file's permissions are kept: what was private stays private.
    """
    part = target.with_name(f".titan-{secrets.token_hex(6)}.part")
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb", buffering=_BUFFER_BYTES) as file:  # noqa: PTH123  (a descriptor, not a path)
            with suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(descriptor)
        _put(part, target, overwrite=overwrite)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _put(part: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        part.replace(target)
        return
    try:
        os.link(part, target)  # unlike a rename it never overwrites
    except FileExistsError:
        raise Occupied(f"{target} came into being meanwhile (--force overwrites it)") from None
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK}:
            raise
        part.rename(target)  # a file system without hard links


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
