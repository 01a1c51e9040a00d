"""PostgreSQL's protocol by hand, for sessions that stop where no driver does."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_PROTOCOL = 196608


def query_message(sql: str) -> bytes:
    """A statement that is complete, and its answer wanted."""
    return _message(b"Q", sql.encode() + b"\0")


def parse_message(sql: str) -> bytes:
    """The first part of a statement; Bind, Execute and Sync have to follow."""
    return _message(b"P", b"\0" + sql.encode() + b"\0" + struct.pack("!H", 0))


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


class RawSession:
    """A session of a user that is trusted."""

    def __init__(self, port: int, database: str, user: str, **settings: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that a long answer does not fit
        self._socket.settimeout(10)
        self._socket.connect(("127.0.0.1", port))
        named = {"user": user, "database": database, **settings}
        body = b"".join(f"{name}\0{value}\0".encode() for name, value in named.items()) + b"\0"
        self._socket.sendall(struct.pack("!II", len(body) + 8, _PROTOCOL) + body)
        self._until_ready()

    def run(self, sql: str) -> None:
        """Run a statement to its end."""
        self.say(query_message(sql))
        self._until_ready()

    def say(self, message: bytes) -> None:
        """Send something and do not wait."""
        self._socket.sendall(message)

    def close(self) -> None:
        self._socket.close()

    def _until_ready(self) -> None:
        while True:
            kind, size = struct.unpack("!cI", self._exactly(5))
            body = self._exactly(size - 4)
            assert kind != b"E", body
            if kind == b"Z":
                return

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            some = self._socket.recv(size - len(found))
            assert some, "the server hung up"
            found += some
        return found


@contextmanager
def raw_session(port: int, database: str, user: str, **settings: str) -> Iterator[RawSession]:
    """Have one for the time of the block."""
    session = RawSession(port, database, user, **settings)
    try:
        yield session
    finally:
        session.close()
