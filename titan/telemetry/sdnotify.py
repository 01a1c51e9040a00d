"""Tells systemd how the service is doing: one datagram per message to $NOTIFY_SOCKET (sd_notify(3)).

Not guaranteed: that systemd listens. Telling never blocks and never raises: what could not be sent goes with the next
message, so a READY that met a full socket is only late. Without $NOTIFY_SOCKET nothing is sent.
"""

import os
import socket
from collections.abc import Callable, Mapping


def _ignore(_error: OSError) -> None:
    """Take an error that nobody asked for."""


class Notifier:
    """The service manager as seen from the service."""

    def __init__(
        self,
        address: str | None,
        *,
        watchdog_s: float | None = None,
        on_failure: Callable[[OSError], None] = _ignore,
    ) -> None:
        self.watchdog_s = watchdog_s
        """How long the service may be silent before it is killed; None: no watchdog."""
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._on_failure = on_failure
        self._failing = False
        self._unsent: dict[str, str] = {}
        self._socket: socket.socket | None = None

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], *, on_failure: Callable[[OSError], None] = _ignore
    ) -> "Notifier":
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID (a watchdog meant for another process is none)."""
        microseconds = environ.get("WATCHDOG_USEC", "")
        mine = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        watchdog_s = int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) and mine else None
        return cls(environ.get("NOTIFY_SOCKET"), watchdog_s=watchdog_s, on_failure=on_failure)

    def ready(self, status: str) -> None:
        """Say that the start is over: requests are answered."""
        self._tell(READY="1", MAINPID=str(os.getpid()), STATUS=status)

    def status(self, status: str) -> None:
        """Say in one line how things are, for `systemctl status`."""
        self._tell(STATUS=status)

    def stopping(self, status: str) -> None:
        """Say that the stop has begun."""
        self._tell(STOPPING="1", STATUS=status)

    def alive(self) -> None:
        """Feed the watchdog."""
        self._tell(WATCHDOG="1")

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, **assignments: str) -> None:
        if not self._address:
            return
        self._unsent |= assignments
        message = "\n".join(f"{name}={' '.join(value.split())}" for name, value in self._unsent.items())
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._socket.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError as error:
            if not self._failing:  # once per spell: the watchdog would repeat it every few seconds
                self._on_failure(error)
            self._failing = True
        else:
            self._failing = False
            self._unsent.clear()
