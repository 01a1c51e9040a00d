"""Listening sockets: made before the tree starts and owned by the process, so that they outlive an actor's restart."""

import errno
import resource
import socket
import sys
from pathlib import Path

BACKLOG = 1024
RESERVED_DESCRIPTORS = 16
"""Kept from clients: the store's files, a writer process that has to be started again, a look at the certificate."""


class BindFailed(Exception):
    """The address cannot be listened on; `reason` says why in words, `address` is what was asked for."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot listen on {address}: {reason}")
        self.address = address
        self.reason = reason


def affordable_connections() -> int:
    """Return how many connections the process may open and still have descriptors for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    in_use = sum(1 for _ in Path("/dev/fd").iterdir()) - 1  # less the one that lists
    return max(1, soft - in_use - RESERVED_DESCRIPTORS)


def listen(host: str, port: int) -> tuple[socket.socket, ...]:
    """Return one listening socket per address of the host; with port 0 all get the same free one.

    Raises BindFailed. Accepting goes on over a restart of the actor: what connects meanwhile waits in the backlog.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise BindFailed(_shown(host, port), f"the host name does not resolve ({error.strerror})") from error
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(addresses):
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_listen(family, (address[0], chosen, *address[2:])))
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise BindFailed(_shown(host, port), _reason(error)) from error
    return tuple(sockets)


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another process listens there; stop it, or choose another port"
        case errno.EACCES:
            return "this user may not listen there (ports below 1024 need a privilege)"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address"
        case _:
            return error.strerror or str(error)
