"""What a line says, in both forms, and that hostile values stay inside theirs."""

import json
import logging
import warnings
from typing import Any

import pytest

from titan.telemetry.log import MAX_TRACEBACK_CHARS, Log, capture_stdlib, make_log


class Lines(list[bytes]):
    def write(self, line: bytes) -> None:
        self.append(line)

    def parsed(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self]


@pytest.fixture
def lines():
    return Lines()


def log(lines: Lines, **options: Any) -> Log:
    return make_log(lines.write, wall_clock=lambda: 1_000_000_000.0625, **options)


def test_a_json_line(lines):
    log(lines, instance="a").info("request", status=200, none=None)
    assert lines == [
        b'{"time":"2001-09-09T01:46:40.062Z","level":"info","event":"request","instance":"a","status":200,"none":null}\n'
    ]


def test_a_console_line(lines):
    log(lines, json=False).info("request", status=200, path="/a b", none=None, kind="x")
    assert lines == [b"01:46:40.062Z info    request  status=200 path='/a b' kind=x\n"]


def test_colour_only_when_asked(lines):
    log(lines, json=False, colour=True).warning("careful")
    assert lines == [b"\x1b[33m01:46:40.062Z warning careful\x1b[0m\n"]


def test_below_the_level_nothing_is_written(lines):
    log(lines, level="warning").info("no")
    log(lines, level="warning").error("yes")
    log(lines, level="info").debug("no")
    assert [line["event"] for line in lines.parsed()] == ["yes"]


def test_an_exception_comes_with_its_traceback_whole_groups_included(lines):
    def fail() -> None:
        raise ExceptionGroup("both", [ValueError("one"), KeyError("two")])

    try:
        fail()
    except ExceptionGroup as error:
        log(lines).error("failed", exc_info=error)
        log(lines).exception("failed")
    for line in lines.parsed():
        assert line["exception"].startswith("  + Exception Group Traceback")
        assert "ValueError: one" in line["exception"]
        assert "KeyError: 'two'" in line["exception"]


def test_a_huge_traceback_is_cut(lines):
    log(lines).error("failed", exc_info=ValueError("x" * 100_000))
    assert len(lines.parsed()[0]["exception"]) == MAX_TRACEBACK_CHARS


@pytest.mark.parametrize(
    "value", ["a\nfake line", "\x1b[2J", 'say "hi"', "a=b", "\x9bm", "\u2028", "\ud800", 2**70, object()]
)
@pytest.mark.parametrize("json_format", [True, False])
def test_no_value_can_fake_a_line_or_move_a_cursor(lines, value, json_format):
    log(lines, json=json_format).info("got", value=value)
    text = lines[0].decode().rstrip("\n")
    assert len(text.splitlines()) == 1 or json_format
    assert "\n" not in text
    assert "\x1b" not in text
    if not json_format:
        assert text.isprintable()


def test_nor_can_an_event_or_an_exception(lines):
    log(lines, json=False).error("a\nb\x1b", exc_info=ValueError("c\x1b[2J\nd"))
    text = lines[0].decode()
    assert text.count("\n") == 3
    assert "\x1b" not in text


def test_what_libraries_log_and_warn_comes_out_the_same_way(lines):
    root = logging.getLogger()
    before = root.handlers[:]
    with capture_stdlib(log(lines)):
        logging.getLogger("hypercorn.error").info("Running on %s", "http://x")
        logging.getLogger("hypercorn.error").debug("not this")
        logging.getLogger("quart").critical("down", exc_info=ValueError("why"))
        logging.getLogger("wrong").warning("%d", "text")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert root.handlers == before
    first, second, third, fourth = lines.parsed()
    assert (first["level"], first["event"], first["logger"]) == ("info", "Running on http://x", "hypercorn.error")
    assert (second["level"], second["event"]) == ("critical", "down")
    assert "ValueError: why" in second["exception"]
    assert (third["event"], third["logger"]) == ("%d", "wrong")
    assert fourth["logger"] == "py.warnings"
    assert "DeprecationWarning: old" in fourth["event"]
