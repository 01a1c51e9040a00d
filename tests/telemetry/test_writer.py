"""Lines reach the reader in order; one who does not read, or is gone, holds up nobody and is counted."""

import contextlib
import os

import pytest

from tests.support.waiting import wait_until
from titan.telemetry.writer import LineWriter


def read_all(fd: int) -> bytes:
    data = b""
    while chunk := os.read(fd, 65536):
        data += chunk
    return data


@pytest.fixture
def pipe():
    read, write = os.pipe()
    open_ends = {read, write}

    def close(fd: int) -> None:
        open_ends.discard(fd)
        os.close(fd)

    yield read, write, close
    while open_ends:
        close(next(iter(open_ends)))


def fill(write: int) -> None:
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"." * 4096)
    os.set_blocking(write, True)


def test_lines_arrive_whole_and_in_order(pipe):
    read, write, close = pipe
    writer = LineWriter(write)
    for number in range(1000):
        writer.write(b"%d\n" % number)
    assert writer.close(5)
    close(write)
    assert read_all(read) == b"".join(b"%d\n" % number for number in range(1000))
    assert writer.dropped == 0


def test_the_first_line_after_silence_comes_at_once(pipe):
    read, write, _ = pipe
    writer = LineWriter(write)
    wait_until(lambda: writer._idle, what="the thread's rest")
    writer.write(b"now\n")
    assert os.read(read, 100) == b"now\n"
    assert writer.close(5)
    assert writer.close(5)  # may be repeated


def test_a_reader_that_does_not_read_holds_up_nobody_and_learns_how_much_is_missing(pipe):
    read, write, _ = pipe
    fill(write)
    writer = LineWriter(write, notice=lambda dropped: b"missing %d\n" % dropped, max_queued_bytes=10_000)
    line = b"x" * 99 + b"\n"
    writer.write(line)
    wait_until(lambda: not writer._lines, what="the taking of the line")
    for _ in range(149):
        writer.write(line)
    assert writer.dropped == 50  # 10,000 bytes are 100 lines
    assert not writer.close(0.05)
    received = b""
    while received.count(line) < 100:
        received += os.read(read, 65536)
    assert received.lstrip(b".") == line + b"missing 50\n" + line * 99
    assert writer.close(5)


def test_a_reader_that_went_away_is_counted_and_ends_nothing(pipe):
    read, write, close = pipe
    writer = LineWriter(write)
    close(read)
    writer.write(b"one\n")
    wait_until(lambda: writer.dropped == 1, what="the count of the loss")
    writer.write(b"two\n")
    assert writer.close(5)
    assert writer.dropped == 2


def test_a_full_disk_is_counted_and_writing_goes_on_when_there_is_room():
    full = os.open("/dev/full", os.O_WRONLY)
    writer = LineWriter(full, notice=lambda dropped: b"missing %d\n" % dropped)
    writer.write(b"lost\n")
    wait_until(lambda: writer.dropped == 1, what="the count of the loss")
    read, write = os.pipe()
    os.dup2(write, full)
    os.close(write)
    writer.write(b"there\n")
    assert writer.close(5)
    os.close(full)
    assert read_all(read) == b"missing 1\nthere\n"
    os.close(read)


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing(pipe):
    read, write, _ = pipe
    os.set_blocking(write, False)
    writer = LineWriter(write)
    line = b"x" * 999 + b"\n"
    for _ in range(500):
        writer.write(line)
    received = b""
    while len(received) < 500_000:
        received += os.read(read, 65536)
    assert received == line * 500
    assert writer.close(5)
    assert writer.dropped == 0
