"""Opens connections: resolves the name anew each time, does TLS and login, and sees that the server answers."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from redis import exceptions
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from titan.redis.contract import Unreachable
from titan.redis.errors import DRIVER_ERRORS, words
from titan.redis.limits import Limits
from titan.redis.tls import Tls
from titan.redis.url import Address, Login

CLIENT_NAME = "titan-aas"
"""What `CLIENT LIST` shows."""


class Wire(Connection):
    """The driver's connection, which here never connects again, and can be dropped without a goodbye."""

    _transport: asyncio.WriteTransport | None = None

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[no-untyped-call]
        assert self._writer is not None
        self._transport = self._writer.transport

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,  # noqa: FBT001, FBT002  (the driver's)
    ) -> None:
        """Write; where the peer has gone nobody may have read that yet. The driver would connect again by itself."""
        if self._transport is None or self._transport.is_closing():
            raise exceptions.ConnectionError("the server closed the connection")
        await super().send_packed_command(command, check_health)

    def abort(self) -> None:
        """Close the socket at once: a frozen peer would keep a polite end, and what was not sent yet, for ever."""
        if self._transport is not None:
            self._transport.abort()
        self._reader = self._writer = None


class TlsWire(SSLConnection, Wire):
    """The same under TLS."""


class Dialer:
    """Makes connections of one kind: to the servers, or to their Sentinels."""

    def __init__(self, login: Login, database: int, limits: Limits, tls: Tls | None) -> None:
        self._login = login
        self._database = database
        self._limits = limits
        self._tls = tls

    async def dial(self, address: Address) -> Wire:
        """Open a connection and log in. Raises `Unreachable`. One attempt: whoever calls this decides how often."""
        wire = self._wire(address)
        try:
            async with asyncio.timeout(self._limits.connect_s):
                await wire.connect()  # type: ignore[no-untyped-call]
        except DRIVER_ERRORS as error:
            wire.abort()
            raise Unreachable(f"{words(error)} ({address})") from error
        except BaseException:
            wire.abort()
            raise
        return wire

    def _wire(self, address: Address) -> Wire:
        options: dict[str, Any] = {
            "host": address.host,
            "port": address.port,
            "db": self._database,
            "username": self._login.user,
            "password": self._login.password,
            "client_name": CLIENT_NAME,
            "driver_info": None,
            "protocol": 2,
            "socket_timeout": None,  # every wait is bounded by who waits
            "socket_connect_timeout": None,
            "retry": Retry(NoBackoff(), 0),
        }
        if self._tls is None:
            return Wire(**options)
        return TlsWire(
            ssl_ca_certs=_text(self._tls.ca),
            ssl_certfile=_text(self._tls.cert),
            ssl_keyfile=_text(self._tls.key),
            **options,
        )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
