"""Writes log lines from a thread of its own, so that nobody who reads slowly, or not at all, holds up the server."""

import os
import select
import threading
from collections.abc import Callable
from itertools import accumulate

MAX_QUEUED_BYTES = 4 * 1024 * 1024
"""About 10,000 request lines: some seconds of a reader's absence at full load, and a bound on memory."""

PAUSE_S = 0.02
"""Pause between two writes. Waking for every line would fight the event loop for the interpreter lock."""


class LineWriter:
    """A queue of lines and the thread that writes them to a file descriptor.

    Not promised: that a line reaches the reader. Lines are dropped, and counted, while the queue is full (nobody
    reads) and where writing fails (the reader is gone, the disk is full); when writing works again, one line says how
    many are missing. A killed process loses what was queued in the last `PAUSE_S`.

    `write` never blocks on the reader and never raises; it may be called from any thread. The descriptor stays the
    caller's and must not be closed before `close` returned True.
    """

    def __init__(
        self,
        fd: int,
        *,
        notice: Callable[[int], bytes] = lambda dropped: b"%d log lines dropped\n" % dropped,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self._fd = fd
        self._notice = notice
        self._max_queued_bytes = max_queued_bytes
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._queued_bytes = 0
        self._dropped = 0
        self._unreported = 0
        self._idle = False
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="titan-log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines were lost since the start."""
        return self._dropped

    def write(self, line: bytes) -> None:
        """Queue one line, which ends with a newline; drop it if the queue is full."""
        with self._lock:
            if self._queued_bytes + len(line) > self._max_queued_bytes:
                self._dropped += 1
                self._unreported += 1
                return
            self._lines.append(line)
            self._queued_bytes += len(line)
            idle = self._idle
        if idle:
            self._wake.set()

    def close(self, timeout_s: float) -> bool:
        """Write what is queued and end the thread; False if the reader did not take it in time. May be repeated."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            closing = self._closing.is_set()  # read before the queue: what was queued before `close` is still written
            lines = self._take()
            if lines:
                self._write(lines)
                self._closing.wait(PAUSE_S)
            elif closing:
                return
            else:
                self._wait()

    def _take(self) -> list[bytes]:
        with self._lock:
            lines, self._lines = self._lines, []
            self._idle = False
            return lines

    def _wait(self) -> None:
        with self._lock:
            if self._lines:
                return
            self._idle = True
            self._wake.clear()
        if not self._closing.is_set():
            self._wake.wait()

    def _write(self, lines: list[bytes]) -> None:
        """Write some lines. They count as queued until they are written, or a reader's absence would not be noticed.

        In one call to the system: after each, this thread has to win the interpreter lock back from a busy loop.
        """
        with self._lock:
            missing, self._unreported = self._unreported, 0
        notice = self._notice(missing) if missing else b""
        written = self._write_all(notice + b"".join(lines))
        ends = accumulate(map(len, lines), initial=len(notice))
        lost = sum(end > written for end in ends) - (written < len(notice))
        with self._lock:
            self._queued_bytes -= sum(map(len, lines))
            self._dropped += lost
            self._unreported += lost + (missing if written < len(notice) else 0)

    def _write_all(self, data: bytes) -> int:
        """Write the data; return how many bytes of it could be written."""
        view, written = memoryview(data), 0
        while written < len(view):
            try:
                written += os.write(self._fd, view[written:])
            except BlockingIOError:  # somebody else made the shared descriptor non-blocking
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                poll.poll()
            except OSError:  # reader gone, disk full, descriptor closed: a log must not end the server; counted
                break
        return written
