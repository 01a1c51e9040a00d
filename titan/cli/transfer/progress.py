"""A progress bar on standard error, where that is a terminal; elsewhere nothing."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from titan.cli.transfer.files import Candidate, Found


@contextmanager
def progress(files: Iterable[Found]) -> Iterator[Callable[[int], None]]:
    """Show how many bytes of the files are dealt with; the value is to be told each further piece."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import progress as bars  # noqa: PLC0415  (rich costs 0.1 s; only a terminal needs it)
    from rich.console import Console  # noqa: PLC0415

    columns = (
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.DownloadColumn(binary_units=True),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("import", total=sum(map(_size, files)) or None)
        yield lambda size: bar.advance(task, size)


def _size(file: Found) -> int:
    try:
        return file.path.stat().st_size if isinstance(file, Candidate) else 0
    except OSError:
        return 0  # opening it will say why
