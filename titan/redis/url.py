"""`REDIS_URL`: read once, refused with what is wrong in it, never shown with its password.

Written as the operator's guide does, `rediss://` for TLS:

    redis://[USER:PASSWORD@]HOST[:PORT][/DB]
    redis://[USER:PASSWORD@]SENTINEL[:PORT][,SENTINEL[:PORT]…][/DB]?sentinelMaster=NAME
    redis://[USER:PASSWORD@]NODE[:PORT][,NODE[:PORT]…][/0]?cluster=true

User and password are those of the servers; Sentinels that want others get `sentinelUsername` and `sentinelPassword`.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, quote, unquote

SERVER_PORT = 6379
SENTINEL_PORT = 26379
SCHEMES = ("redis", "rediss")
OPTIONS = ("cluster", "sentinelMaster", "sentinelPassword", "sentinelUsername")

_SHAPE = re.compile(
    r"(?P<scheme>[^:]*)://(?:(?P<login>[^/?]*)@)?(?P<hosts>[^/?]*)(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?"
)
_HOST = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]*))?")


class BadRedisUrl(ValueError):
    """The URL cannot be used; the text names the part at fault and never holds a secret."""


class Mode(StrEnum):
    """What is at the other end."""

    SINGLE = "single"
    SENTINEL = "Sentinel"
    CLUSTER = "Cluster"


@dataclass(frozen=True, slots=True)
class Address:
    """One server or Sentinel, by name or address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to a server; without a password nobody in particular."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """Where Redis is and how to get in."""

    mode: Mode
    addresses: tuple[Address, ...]
    """The server; the Sentinels; or any nodes of the cluster."""
    login: Login = Login()
    sentinel_login: Login = Login()
    database: int = 0
    master: str = ""
    """What the Sentinels call the servers that they watch."""
    is_tls: bool = False

    def __str__(self) -> str:
        user = f"{quote(self.login.user)}@" if self.login.user else ""
        options = {
            Mode.SINGLE: "",
            Mode.SENTINEL: f"?sentinelMaster={quote(self.master)}",
            Mode.CLUSTER: "?cluster=true",
        }
        hosts = ",".join(map(str, self.addresses))
        return f"redis{'s' * self.is_tls}://{user}{hosts}/{self.database}{options[self.mode]}"


def parse(url: str) -> RedisUrl:
    """Read a URL. Raises `BadRedisUrl`."""
    shape = _SHAPE.fullmatch(url)
    if shape is None or shape["scheme"] not in SCHEMES:
        raise BadRedisUrl("must be redis://USER:PASSWORD@HOST:PORT/DB, or rediss:// for TLS")
    if "@" in (shape["database"] or "") or "@" in (shape["query"] or ""):
        # Else a part of the password would be taken for a host or a database, and shown.
        raise BadRedisUrl(
            "has an @ behind a / or ?: in user and password write %2F for / and %3F for ?, elsewhere %40 for @"
        )
    options = _options(shape["query"] or "")
    mode = _mode(options)
    hosts = shape["hosts"].split(",")
    if mode is Mode.SINGLE and len(hosts) > 1:
        raise BadRedisUrl("names several hosts: add ?sentinelMaster=NAME or ?cluster=true, whichever they are")
    user, _, password = (shape["login"] or "").partition(":")
    return RedisUrl(
        mode=mode,
        addresses=tuple(_address(host, SENTINEL_PORT if mode is Mode.SENTINEL else SERVER_PORT) for host in hosts),
        login=_login(unquote(user), unquote(password)),
        sentinel_login=_login(options.get("sentinelUsername", ""), options.get("sentinelPassword", "")),
        database=_database(shape["database"] or "0", mode),
        master=options.get("sentinelMaster", ""),
        is_tls=shape["scheme"] == "rediss",
    )


def _mode(options: dict[str, str]) -> Mode:
    cluster = options.get("cluster", "false")
    if cluster not in ("true", "false"):
        raise BadRedisUrl(f"cluster={cluster} is neither true nor false")
    if "sentinelMaster" not in options:
        if alone := sorted(options.keys() & {"sentinelUsername", "sentinelPassword"}):
            raise BadRedisUrl(f"{alone[0]} needs sentinelMaster=NAME")
        return Mode.CLUSTER if cluster == "true" else Mode.SINGLE
    if cluster == "true":
        raise BadRedisUrl("sentinelMaster and cluster=true are two different things; give one")
    if not options["sentinelMaster"]:
        raise BadRedisUrl("sentinelMaster is empty; it is the name after `sentinel monitor` in the Sentinels' files")
    return Mode.SENTINEL


def _login(user: str, password: str) -> Login:
    if user and not password:
        raise BadRedisUrl("has a user and no password: USER:PASSWORD@, or :PASSWORD@ for the default user")
    return Login(user or None, password or None)


def _database(text: str, mode: Mode) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise BadRedisUrl(f"/{text} is no number of a database")
    if mode is Mode.CLUSTER and int(text) != 0:
        raise BadRedisUrl(f"/{text}: a cluster has database 0 only")
    return int(text)


def _address(text: str, default_port: int) -> Address:
    found = _HOST.fullmatch(text)
    if found is None:
        raise BadRedisUrl(f"{text!r} is no HOST or HOST:PORT (an IPv6 address needs brackets)")
    port = int(found["port"] or default_port)
    if not 0 < port < 1 << 16:
        raise BadRedisUrl(f"{text!r}: a port is a number from 1 to 65535")
    return Address(found["six"] or found["name"], port)


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, strict_parsing=True, keep_blank_values=True) if query else []
    except ValueError:
        raise BadRedisUrl("what follows the ? must be OPTION=VALUE&OPTION=VALUE") from None
    options: dict[str, str] = {}
    for name, value in pairs:
        if name not in OPTIONS:
            raise BadRedisUrl(f"unknown option {name}; known are {', '.join(OPTIONS)}")
        if name in options:
            raise BadRedisUrl(f"option {name} is given twice")
        options[name] = value
    return options
