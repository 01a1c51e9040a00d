"""How the process is told to stop: the first signal asks for a drain, the second ends it, a deadline ends it anyway.

Nothing here needs the event loop to be alive: a task that ignores cancellation, or a loop that is blocked, is ended by
the deadline's own thread. That thread is started beforehand, because starting one inside a signal handler can deadlock
on the interpreter's own locks; the handler only writes a byte to its pipe.
"""

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import trio

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
FORCED_EXIT = 1


def _end_at_once(message: str) -> None:
    os.write(2, f"titan: {message}\n".encode())
    os._exit(FORCED_EXIT)


def _is_to_outlive_its_terminal(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


class StopSignals:
    """SIGTERM, SIGINT and SIGHUP as one request to stop.

    `requested` is set on the loop's thread at the first signal. `hard_deadline_s` later, or at the second signal, the
    process is gone, whatever it is doing then. A SIGHUP that is ignored already (nohup) stays ignored.
    """

    def __init__(self, hard_deadline_s: float, *, end: Callable[[str], None] = _end_at_once) -> None:
        self.requested = trio.Event()
        self.reason = ""
        """Why it was requested, for the log."""
        self._hard_deadline_s = hard_deadline_s
        self._end = end
        self._count = 0
        self._token: trio.lowlevel.TrioToken | None = None
        self._read_fd, self._write_fd = os.pipe()

    def request(self, reason: str = "asked") -> None:
        """Ask for the drain as a first signal would; the deadline runs from now. Callable from any thread."""
        self._count += 1
        if self._count == 1:
            self.reason = reason
            os.write(self._write_fd, b"!")
            if self._token is not None:
                self._token.run_sync_soon(self.requested.set)

    @contextmanager
    def installed(self) -> Iterator["StopSignals"]:
        """Handle the signals inside the block; to be entered on the main thread while trio runs.

        The deadline stays armed after the block, for it also bounds what the interpreter does at its end.
        """
        self._token = trio.lowlevel.current_trio_token()
        threading.Thread(target=self._watch, name="hard-deadline", daemon=True).start()
        heard = [number for number in STOP_SIGNALS if not _is_to_outlive_its_terminal(number)]
        before = {number: signal.signal(number, self._on_signal) for number in heard}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def disarm(self) -> None:
        """Give up the deadline; only for who goes on living after the block."""
        os.close(self._write_fd)  # the deadline's thread sees the end and closes its own

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._count:
            self._end(f"{name} again while stopping: ended at once")
        else:
            self.request(name)

    def _watch(self) -> None:
        try:
            if os.read(self._read_fd, 1):
                ended, _, _ = select.select([self._read_fd], [], [], self._hard_deadline_s)
                if not ended:
                    self._end(f"not stopped {self._hard_deadline_s:g} s after the signal: ended (hard_deadline_s)")
        finally:
            os.close(self._read_fd)
