"""Connections that go where the check said: a name is resolved once, and the checked address is used.

A name whose address changes between check and connection (DNS rebinding) changes nothing: it is not looked up again.
TLS is spoken to the URL's host, whatever address it has.
"""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpcore
import trio

from titan.sync.addresses import Address, Allowed

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Give the addresses of a host, the best first. Raises `OSError` where there are none."""


class Refused(Exception):
    """The connection was not made, because it may not be. The text says to where."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system; also for what only looks like a name, such as 0x7f000001."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """TCP as httpcore wants it."""

    def __init__(self, allowed: Allowed, resolve: Resolve = resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._tcp = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (httpcore's interface)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's allowed addresses that takes the connection, all within `timeout`."""
        with trio.move_on_after(float("inf") if timeout is None else timeout) as scope:
            addresses = await self._addresses(host, port)
            for place, address in enumerate(addresses, start=1):
                try:
                    return await self._tcp.connect_tcp(str(address), port, None, local_address, socket_options)
                except httpcore.ConnectError:
                    if place == len(addresses):
                        raise
        assert scope.cancelled_caught
        raise httpcore.ConnectTimeout(f"no connection to {host} within {timeout:g} s")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: nothing on this machine is asked by a path."""
        raise Refused(f"{path} is no network address")

    async def sleep(self, seconds: float) -> None:
        """Wait, as httpcore does between attempts."""
        await trio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """Return where the host may be connected to, at least one. Raises `Refused`."""
        if (fault := self._allowed.host_fault(host)) is not None:
            raise Refused(fault)
        try:
            found = [ipaddress.ip_address(text) for text in await self._resolve(host, port)]
        except (OSError, UnicodeError) as error:  # UnicodeError: no host name can be made of it
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
        except ValueError as error:  # an address with a scope, which is link-local
            raise Refused(f"{host}: {error}") from error
        faults = [self._allowed.address_fault(address) for address in found]
        allowed = [address for address, fault in zip(found, faults, strict=True) if fault is None]
        if not allowed:
            raise Refused(f"{host}: {faults[0]}" if faults else f"{host} has no address")
        return allowed
