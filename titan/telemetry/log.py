"""Structured log lines: one JSON object, or one readable line, per event; libraries' own logging comes out alike.

Nothing here is global except what the standard library makes so: `capture_stdlib` takes over the root logger and
`warnings`, and gives them back. A log is made once by the process and passed to whoever writes.
"""

import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from titan.printable import printable

Log = FilteringBoundLogger

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

MAX_TRACEBACK_CHARS = 32_768
"""A group of many errors must not fill the queue; the end, which names the errors, is kept."""

_PLAIN = re.compile(r"[\x21\x23-\x3c\x3e-\x7e]+")  # printable ASCII without space, double quote and equals sign
_COLOURS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


def make_log(
    write: Callable[[bytes], None],
    *,
    json: bool = True,
    level: str = "info",
    colour: bool = False,
    wall_clock: Callable[[], float] = time.time,
    **context: object,
) -> Log:
    """Make a log whose lines, each with its newline, go to `write`; `context` stands in every line.

    Made lean for one line per request: no processor that a line does not need, no lookup of the caller.
    """
    render = _json_line if json else _console_line(colour=colour)
    stamp = _timestamp(wall_clock)

    def finish(_logger: object, method: str, event: EventDict) -> bytes:
        line: dict[str, Any] = {"time": stamp(), "level": method, "event": event.pop("event"), **event}
        if "exc_info" in line:
            _add_traceback(line)
        return render(line)

    log: Log = structlog.wrap_logger(
        _Output(write),
        processors=[finish],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        context_class=dict,
    ).bind(**context)
    return log


@contextmanager
def capture_stdlib(log: Log) -> Iterator[None]:
    """Route the standard library's logging, and `warnings`, to `log` while the block runs."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = [_ToLog(log)]
    root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        root.setLevel(level)


class _Output:
    """What structlog calls with the finished line."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = write


class _ToLog(logging.Handler):
    """Writes the records of libraries as lines of ours."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        details: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            details["exc_info"] = record.exc_info
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  (a library's wrong format string must not break what it logs about)
            message = str(record.msg)
        self._log.log(min(max(record.levelno, logging.DEBUG), logging.CRITICAL) // 10 * 10, message, **details)


def _timestamp(wall_clock: Callable[[], float]) -> Callable[[], str]:
    second, prefix = -1, ""

    def stamp() -> str:
        nonlocal second, prefix
        now = wall_clock()
        if int(now) != second:  # formatting a date costs more than the rest of the line
            second = int(now)
            prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{prefix}.{int((now - second) * 1000):03d}Z"

    return stamp


def _add_traceback(line: dict[str, Any]) -> None:
    error = line.pop("exc_info")
    if error is True:  # `log.exception`
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        line["exception"] = "".join(traceback.format_exception(error))[-MAX_TRACEBACK_CHARS:]


def _json_line(line: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits: say it some way rather than not at all
        return orjson.dumps({key: ascii(value) for key, value in line.items()}, option=orjson.OPT_APPEND_NEWLINE)


def _console_line(*, colour: bool) -> Callable[[dict[str, Any]], bytes]:
    def render(line: dict[str, Any]) -> bytes:
        stamp, level, event = line.pop("time"), line.pop("level"), line.pop("event")
        exception = line.pop("exception", "")
        details = " ".join(f"{key}={_plain(value)}" for key, value in line.items() if value is not None)
        text = f"{stamp[11:]} {level:<7} {printable(str(event))}{details and '  ' + details}"
        if colour and level in _COLOURS:
            text = f"{_COLOURS[level]}{text}\x1b[0m"
        for part in exception.splitlines():
            text += f"\n    {printable(part)}"
        return text.encode("utf-8", "backslashreplace") + b"\n"

    return render


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if _PLAIN.fullmatch(text) else repr(text)
