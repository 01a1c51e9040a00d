"""The writer: the process that makes every change of the embedded store.

Why a process: a busy trio thread starves a writer thread of the interpreter lock (measured: 2,410 -> 20 writes a
second), and no fsync and no wait for a lock may ever happen on the loop's thread.

Group commit: whatever has arrived is one transaction, each request in a savepoint of its own; all are answered after
the COMMIT. Standard input is the socket to the parent, both ways. Its end means that the parent is gone: the process
exits at once and acknowledges nothing more. Signals of the terminal or of a service manager are left to the parent,
which stops this process by a request and waits for what was sent before.
"""

import os
import select
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any

from titan.store.sqlite import wire
from titan.store.sqlite.batch import Batches, Fatal

RECEIVE_BYTES = 1 << 18
MAX_BATCH = 64
"""Requests in one transaction; keeps another process' wait for its turn short."""


class Channel:
    """The socket to the parent: blocking writes, reads that take whatever is there."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._frames = wire.Frames()
        self._requests: list[tuple[Any, ...]] = []

    def receive(self) -> list[tuple[Any, ...]]:
        """Wait for at least one request and return what has arrived; an empty list is the end of input."""
        while not self._requests:
            data = self._socket.recv(RECEIVE_BYTES)
            if not data:
                return []
            self._requests += self._frames.feed(data)
        while len(self._requests) < MAX_BATCH and select.select([self._socket], [], [], 0)[0]:
            data = self._socket.recv(RECEIVE_BYTES)
            if not data:
                return []
            self._requests += self._frames.feed(data)
        batch, self._requests = self._requests[:MAX_BATCH], self._requests[MAX_BATCH:]
        return batch

    def send(self, value: Any) -> None:
        """Send one frame; waits while the parent does not read."""
        self._socket.sendall(wire.frame(value))


def serve(channel: Channel, batches: Batches, *, wall_clock: Callable[[], float] = time.time) -> None:
    """Answer requests until STOP or the end of input. Raises `Fatal` where the connection is not to be trusted."""
    channel.send(("ready",))
    while requests := channel.receive():
        stop = next((place for place, request in enumerate(requests) if request[1] == wire.STOP), None)
        work = requests if stop is None else requests[:stop]
        if work:
            replies, fatal = batches.run(work, int(wall_clock() * 1000))
            channel.send(("done", replies))
            if fatal is not None:
                raise fatal
        if stop is not None:
            batches.close()
            return


def main() -> None:
    """Run on standard input for the database at PATH as long as it is FILE (`turn.file_of`)."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    sock = socket.socket(fileno=os.dup(0))
    channel = Channel(sock)
    try:
        serve(channel, Batches(sys.argv[1], sys.argv[2]))
    except Fatal as error:
        channel.send(("fatal", str(error), error.may_pass))
        os._exit(1)
    except sqlite3.Error as error:
        channel.send(("fatal", f"the database cannot be opened: {error}", True))
        os._exit(1)
    except (BrokenPipeError, ConnectionResetError):
        os._exit(1)  # the parent is gone
    os._exit(0)  # not through finalizers: closing the connection could wait for a disk


if __name__ == "__main__":
    main()
