"""`DATABASE_URL` and `DATABASE_READ_URL` for PostgreSQL: read once, refused with what is wrong, shown without password.

Written as libpq's URLs, with or without `+asyncpg`, with one host or several:

    postgresql://USER:PASSWORD@HOST[:PORT][,HOST[:PORT]…]/DATABASE[?OPTION=VALUE&…]

Of several hosts the first to answer is used that satisfies `target_session_attrs`, by default `read-write`: also of one
host, so that a standby is never mistaken for the primary. A read replica's URL wants a `standby`.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

DEFAULT_PORT = 5432
SCHEMES = ("postgresql", "postgresql+asyncpg", "postgres")

MOST_NAME_CHARACTERS = 63
"""PostgreSQL cuts an application_name behind it."""

DEFAULT_SSL_MODE = "prefer"
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
PASSED_ON = (*FILES, "sslmode", "sslpassword", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version")
"""Options that the driver knows under libpq's names."""
OPTIONS = (*PASSED_ON, "ssl", "host", "target_session_attrs", "application_name", "pgbouncer")

_SHAPE = re.compile(
    r"(?P<scheme>[^:]*)://(?:(?P<user>[^/?]*)@)?(?P<hosts>[^/?]*)(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?"
)
_HOST = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<name>/.*?|[^:\[\]]*))(?::(?P<port>[0-9]*))?")


Choice = TypeVar("Choice", bound=StrEnum)


class BadUrl(ValueError):
    """The URL cannot be used; the text names the part at fault and never holds a secret."""


class Target(StrEnum):
    """Which server is taken (`target_session_attrs`)."""

    READ_WRITE = "read-write"
    PRIMARY = "primary"
    ANY = "any"
    STANDBY = "standby"


TARGETS = (Target.READ_WRITE, Target.PRIMARY, Target.ANY)
"""What a URL of the primary may ask for, the default first."""

REPLICA_TARGETS = (Target.STANDBY,)
"""What a URL of read replicas may: who finds none reads from the primary anyhow, so no other one is of use."""


class Pooler(StrEnum):
    """Is there a pooler like PgBouncer in between (`pgbouncer`)."""

    AUTO = "auto"
    YES = "true"
    NO = "false"


@dataclass(frozen=True, slots=True)
class Host:
    """One server: a name, an address or the folder of a Unix socket."""

    name: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """Where the database is and how to get in."""

    hosts: tuple[Host, ...]
    database: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    target: Target = Target.READ_WRITE
    pooler: Pooler = Pooler.AUTO
    application_name: str = "titan-aas"
    driver_options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """TLS options and password file, as the driver takes them in a URL."""

    def __str__(self) -> str:
        user = f"{quote(self.user)}@" if self.user else ""
        return f"postgresql://{user}{','.join(map(str, self.hosts))}/{quote(self.database)}"

    @property
    def for_tools(self) -> str:
        """The URL for PostgreSQL's own tools: with its TLS options, without any secret."""
        options = [(name, value) for name, value in self.driver_options if name != "sslpassword"]
        options = [option for option in options if option != ("sslmode", DEFAULT_SSL_MODE)]
        if len(self.hosts) > 1:
            options.append(("target_session_attrs", self.target))
        return f"{self}?{urlencode(options)}" if options else str(self)

    @property
    def driver_dsn(self) -> str:
        """A URL that holds `driver_options` and nothing else."""
        return f"postgresql://?{urlencode(self.driver_options)}" if self.driver_options else "postgresql://"


def named(url: PostgresUrl, instance_id: str) -> PostgresUrl:
    """Say in `application_name` whose sessions they are: `titan-aas/titan-1`.

    Of a long id the end is kept, which is what tells pods apart.
    """
    room = max(0, MOST_NAME_CHARACTERS - len(url.application_name) - 1)
    return replace(url, application_name=f"{url.application_name}/{instance_id[-room:] if room else ''}")


def parse(url: str, targets: Sequence[Target] = TARGETS) -> PostgresUrl:
    """Read a URL that may ask for one of these targets. Raises `BadUrl`."""
    shape = _SHAPE.fullmatch(url)
    if shape is None or shape["scheme"] not in SCHEMES:
        raise BadUrl("must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    if "@" in (shape["database"] or "") or "@" in (shape["query"] or ""):
        # Else a part of the password would be taken for a host or a database, and shown.
        raise BadUrl(
            "has an @ behind a / or ?: in user and password write %2F for / and %3F for ?, elsewhere %40 for @"
        )
    options = _options(shape["query"] or "")
    database = unquote(shape["database"] or "")
    if not database:
        raise BadUrl("names no database: …@HOST:PORT/DATABASE")
    user, _, password = (shape["user"] or "").partition(":")
    return PostgresUrl(
        hosts=tuple(map(_host, _split(shape["hosts"]) or [options.get("host", "")])),
        database=database,
        user=unquote(user) or None,
        password=unquote(password) or None,
        target=_choice(options, "target_session_attrs", targets),
        pooler=_choice(options, "pgbouncer", tuple(Pooler)),
        application_name=options.get("application_name", "titan-aas"),
        driver_options=tuple((name, value) for name, value in options.items() if name in PASSED_ON),
    )


def _split(hosts: str) -> list[str]:
    """Split a list of hosts; each may be percent-encoded, as the folder of a socket has to be."""
    return [unquote(host) for host in hosts.split(",")] if hosts else []


def _host(text: str) -> Host:
    found = _HOST.fullmatch(text)
    name = found and (found["six"] or found["name"])
    if found is None or not name:
        raise BadUrl(f"{text!r} is no HOST or HOST:PORT (an IPv6 address needs brackets)")
    port = int(found["port"] or DEFAULT_PORT)
    if not 0 < port < 1 << 16:
        raise BadUrl(f"{text!r}: a port is a number from 1 to 65535")
    return Host(name, port)


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, strict_parsing=True, keep_blank_values=True) if query else []
    except ValueError:
        raise BadUrl("what follows the ? must be OPTION=VALUE&OPTION=VALUE") from None
    options: dict[str, str] = {}
    for name, value in pairs:
        if name not in OPTIONS:
            raise BadUrl(f"unknown option {name}; known are {', '.join(sorted(OPTIONS))}")
        if name in options:
            raise BadUrl(f"option {name} is given twice")
        options[name] = value
    if "ssl" in options:  # SQLAlchemy's name for it, which many a DATABASE_URL uses
        if "sslmode" in options:
            raise BadUrl("ssl and sslmode are one and the same option; give one")
        options["sslmode"] = options.pop("ssl")
    _check_tls(options)
    return options


def _check_tls(options: dict[str, str]) -> None:
    mode = options.setdefault("sslmode", DEFAULT_SSL_MODE)
    if mode not in SSL_MODES:
        raise BadUrl(f"sslmode={mode} is none of {', '.join(SSL_MODES)}")
    for name in FILES:
        if name in options and not os.access(options[name], os.R_OK):
            raise BadUrl(f"{name}={options[name]}: no such file, or not readable by this user")
    if mode.startswith("verify-") and "sslrootcert" not in options:
        raise BadUrl(f"sslmode={mode} needs sslrootcert=FILE, the certificate of who signed the server's")
    if "sslkey" in options and "sslcert" not in options:
        raise BadUrl("sslkey needs sslcert=FILE, the certificate that belongs to it")


def _choice(options: dict[str, str], name: str, allowed: Sequence[Choice]) -> Choice:
    """Return what was chosen, the first one where nothing was."""
    value = options.get(name, allowed[0])
    for each in allowed:
        if each == value:
            return each
    raise BadUrl(f"{name}={value} is none of {', '.join(allowed)}")
