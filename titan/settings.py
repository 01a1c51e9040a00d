"""Every setting: its type, range, default and meaning, stated once; file, reference and `config show` follow.

A `Settings` value is immutable and says only what the operator asked for: that a port is free or a folder writable is
found out at start, not here. `titan.settings_load.load` makes one from the environment, a file and the defaults;
`Settings()` alone is the defaults, whatever the environment holds.
"""

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from titan.redis.url import RedisUrl
from titan.redis.url import parse as parse_redis_url
from titan.settings_events import Events
from titan.settings_marks import Bare, Entry, Secret, Section, Short
from titan.settings_sync import Sync
from titan.settings_tasks import Tasks
from titan.store.postgres.url import REPLICA_TARGETS, PostgresUrl
from titan.store.postgres.url import SCHEMES as POSTGRES_SCHEMES
from titan.store.postgres.url import parse as parse_postgres_url

MIB = 1024 * 1024


class Verification(StrEnum):
    """What the API does with a document that breaks a constraint of the metamodel."""

    STRICT = "strict"
    LENIENT = "lenient"


class LogFormat(StrEnum):
    """How a log line looks."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class OnRedisLoss(StrEnum):
    """What the rate limit does while Redis, which counts for all instances, is away."""

    OPEN = "open"
    LOCAL = "local"


class Http(Section):
    """Listening, limits and time-outs of the HTTP server."""

    host: Annotated[str, Short("TITAN_HOST")] = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; other than loopback needs security.allow_anonymous.",
    )
    port: Annotated[int, Short("TITAN_PORT")] = Field(
        default=8080, ge=0, le=65535, description="Port to listen on; 0 takes any free one and says which."
    )
    admin_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Own loopback port of /metrics and /system; 0: they are on the main port.",
    )
    base_path: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Where the API is mounted, e.g. /twins; /health and /metrics stay at the root.",
    )
    drain_delay_s: float = Field(
        default=0,
        ge=0,
        description="How long the listener stays open after readiness turned 503, for balancers that poll it.",
    )
    tls_cert: Path | None = Field(
        default=None,
        description="Certificate chain (PEM); read again when it changes; needs tls_key.",
        examples=["/etc/titan/tls.crt"],
    )
    tls_key: Path | None = Field(
        default=None, description="Private key (PEM) of tls_cert.", examples=["/etc/titan/tls.key"]
    )
    max_body_bytes: int = Field(
        default=8 * MIB, ge=1024, le=1024 * MIB, description="Largest JSON body of a request; more is answered 413."
    )
    max_file_bytes: int = Field(
        default=256 * MIB, ge=1024, le=1024 * 1024 * MIB, description="Largest file of an upload; more is answered 413."
    )
    max_json_depth: int = Field(
        default=64, ge=8, le=200, description="Deepest nesting of a JSON body; deeper is answered 400."
    )
    max_head_bytes: int = Field(
        default=32 * 1024,
        ge=16 * 1024,
        le=MIB,
        description="Largest request line with headers; a 2,048-character id in base64url must fit.",
    )
    head_timeout_s: float = Field(default=10, gt=0, description="How long a request's head may take to arrive.")
    body_timeout_s: float = Field(
        default=60,
        gt=0,
        description="How long a whole request may take to arrive, unless it keeps body_min_bytes_per_s.",
    )
    body_min_bytes_per_s: int = Field(
        default=1024, ge=1, description="Rate that keeps a slow upload alive beyond body_timeout_s."
    )
    keep_alive_s: float = Field(
        default=75,
        gt=0,
        description="How long an idle connection stays open; longer than the balancer's own (nginx: 60).",
    )
    write_timeout_s: float = Field(
        default=30, gt=0, description="How long a client may take none of its answer before the connection is closed."
    )
    max_connections: int = Field(
        default=4096, ge=1, description="Most connections at once; further ones wait in the listen queue."
    )
    trusted_proxies: str = Field(
        default="",
        description="Proxies whose X-Forwarded-For is believed: addresses and networks, separated by commas.",
        examples=["10.0.0.0/8,192.168.7.1"],
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks_only(cls, text: str) -> str:
        _networks(text)
        return text

    @property
    def trusted_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The networks of `trusted_proxies`."""
        return _networks(self.trusted_proxies)


def _networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


class Api(Section):
    """The AAS API."""

    page_size: int = Field(
        default=100, ge=1, le=100_000, description="Results on a page of a list where the client does not say."
    )
    max_page_size: int = Field(
        default=1000, ge=1, le=100_000, description="Most results that a client may ask for on one page."
    )


class Process(Section):
    """The process as a whole."""

    hard_deadline_s: float = Field(
        default=20,
        gt=0,
        description="From SIGTERM to the end, whatever hangs; below the grace of systemd or Kubernetes.",
    )
    instance_id: Annotated[str, Short("TITAN_INSTANCE_ID")] = Field(
        default="",
        pattern=r"^[A-Za-z0-9._:-]{0,128}$",
        description="This instance's name in logs and leader keys; empty: the host name.",
    )


class Database(Section):
    """Where documents are kept."""

    url: Annotated[str, Bare("DATABASE_URL"), Secret()] = Field(
        default="",
        description="postgresql://… or sqlite:///FILE; empty: the file titan.db in data_dir.",
        examples=["postgresql+asyncpg://titan:pass@pg-primary:5432/titan", "sqlite:////var/lib/titan/titan.db"],
    )
    read_url: Annotated[str, Bare("DATABASE_READ_URL"), Secret()] = Field(
        default="",
        description="postgresql://… of streaming standbys of url's server, for reads; empty: all reads go to url.",
        examples=["postgresql+asyncpg://titan:pass@pg-replica:5432/titan"],
    )
    replica_max_lag_s: float = Field(
        default=5,
        gt=0,
        le=3600,
        description="A replica this far behind is degraded; one more than 1 s behind is not read in any case.",
    )
    data_dir: Annotated[Path, Short("TITAN_DATA_DIR")] = Field(
        default=Path("titan-data"),
        description="Folder of the embedded store; under systemd $STATE_DIRECTORY is the default.",
    )
    pool_size: int = Field(
        default=20,
        ge=2,
        le=1000,
        description="PostgreSQL connections of this instance at most; two more watch the server and follow changes.",
    )
    request_budget_s: float = Field(
        default=1.8,
        gt=0,
        le=60,
        description="How long one store call of a request may take; then 503 with Retry-After.",
    )
    statement_timeout_s: float = Field(
        default=1.5,
        gt=0,
        le=60,
        description="PostgreSQL's own limit for a request's statement; below request_budget_s, to speak first.",
    )

    @field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:
        if url.partition("://")[0] in POSTGRES_SCHEMES:
            parse_postgres_url(url)
            return url
        if url and not (url.startswith("sqlite:///") and len(url) > len("sqlite:///")):
            raise ValueError("must be postgresql://…, sqlite:///FILE (relative) or sqlite:////FILE (absolute)")
        if "?" in url or "#" in url or url.endswith(":memory:"):
            raise ValueError("must name a file: sqlite:///FILE takes no options and no :memory:")
        return url

    @field_validator("read_url")
    @classmethod
    def _standby(cls, url: str) -> str:
        if url:
            parse_postgres_url(url, REPLICA_TARGETS)
        return url

    @property
    def replica_url(self) -> PostgresUrl | None:
        """Where the read replica is; None: there is none."""
        return parse_postgres_url(self.read_url, REPLICA_TARGETS) if self.read_url else None

    @property
    def postgres_url(self) -> PostgresUrl | None:
        """Where PostgreSQL is; None: the embedded store is used."""
        return parse_postgres_url(self.url) if self.url.partition("://")[0] in POSTGRES_SCHEMES else None

    @property
    def sqlite_path(self) -> Path:
        """The embedded store's file, where that is used: the one of `url`, else `titan.db` in `data_dir`."""
        return Path(self.url.removeprefix("sqlite:///")) if self.url else self.data_dir / "titan.db"

    @property
    def place(self) -> PostgresUrl | Path:
        """Where the store is, whichever of the two is used."""
        return self.postgres_url or self.sqlite_path


class Redis(Section):
    """What makes several instances faster; never needed."""

    url: Annotated[str, Bare("REDIS_URL"), Secret()] = Field(
        default="",
        description="redis://… or rediss://… of a server, Sentinels or a cluster; empty: there is no Redis.",
        examples=[
            "redis://redis:6379/0",
            "redis://sentinel1:26379,sentinel2:26379,sentinel3:26379/0?sentinelMaster=mymaster",
            "redis://node1:6379,node2:6379,node3:6379/0?cluster=true",
        ],
    )
    timeout_s: float = Field(
        default=0.3,
        gt=0,
        le=10,
        description="How long one call may take; then Redis counts as away until it has answered again.",
    )
    tls_ca: Path | None = Field(
        default=None,
        description="With rediss://: certificates (PEM) that may have signed the server's; unset: the system's.",
        examples=["/etc/titan/redis-ca.crt"],
    )
    tls_cert: Path | None = Field(
        default=None,
        description="With rediss://: our certificate (PEM), where the server asks for one; needs tls_key.",
        examples=["/etc/titan/redis.crt"],
    )
    tls_key: Path | None = Field(
        default=None, description="Private key (PEM) of tls_cert.", examples=["/etc/titan/redis.key"]
    )

    @field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:
        if url:
            parse_redis_url(url)
        return url

    @field_validator("tls_ca", "tls_cert", "tls_key")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not os.access(path, os.R_OK):
            raise ValueError("no such file, or not readable by this user")
        return path

    @property
    def parsed_url(self) -> RedisUrl | None:
        """Where Redis is; None: there is none."""
        return parse_redis_url(self.url) if self.url else None


class Cache(Section):
    """Documents kept at hand by instances on PostgreSQL: in their memory and in Redis."""

    memory_bytes: int = Field(
        default=64 * MIB,
        ge=0,
        le=64 * 1024 * MIB,
        description="Documents kept in this process' memory at most; 0: none. PostgreSQL only.",
    )
    ttl_s: int = Field(
        default=3600, ge=60, le=7 * 86400, description="How long a document stays in Redis that nobody replaces."
    )


class Leadership(Section):
    """Which instance does the work that must be done once."""

    ttl_s: float = Field(
        default=30,
        gt=0,
        le=3600,
        description="How long a lease holds that is not renewed: a crashed leader is replaced after so long.",
    )
    renew_s: float = Field(
        default=10, gt=0, le=3600, description="How often a leader renews its lease; at most half of ttl_s."
    )


class Model(Section):
    """The metamodel."""

    verification: Verification = Field(
        default=Verification.STRICT,
        description="strict: a document that breaks a constraint is refused; lenient: reported.",
    )


class Log(Section):
    """Log lines, one per request and per event of an actor, on standard output."""

    format: Annotated[LogFormat, Short("TITAN_LOG_FORMAT")] = Field(
        default=LogFormat.CONSOLE, description="console for people, json for machines."
    )
    level: LogLevel = Field(default=LogLevel.INFO, description="Least severe line that is written.")


class Security(Section):
    """Who may do what."""

    allow_anonymous: bool = Field(
        default=False,
        description="Listen beyond loopback although nobody has to log in: everyone who reaches the port may write.",
    )
    requests_per_minute: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Requests a minute that one client address (IPv6: one /64) may send; more is answered 429; 0: any.",
    )
    on_redis_loss: OnRedisLoss = Field(
        default=OnRedisLoss.OPEN,
        description="While Redis is away, requests are let through (open) or each process counts for itself (local).",
    )


class Settings(BaseSettings):
    """All settings. Built without arguments it is the defaults: the environment is read by `load` alone."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    http: Http = Http()
    api: Api = Api()
    process: Process = Process()
    database: Database = Database()
    redis: Redis = Redis()
    cache: Cache = Cache()
    leadership: Leadership = Leadership()
    events: Events = Events()
    model: Model = Model()
    log: Log = Log()
    security: Security = Security()
    sync: Sync = Sync()
    tasks: Tasks = Tasks()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  (the library passes all by keyword)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing by itself: a variable called HTTP or LOG is nobody's business here."""
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as operators see it."""

    section: str
    name: str
    field: FieldInfo

    @property
    def path(self) -> str:
        """Section and name, as in the file."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        bare = [mark.name for mark in self.field.metadata if isinstance(mark, Bare)]
        return bare[0] if bare else f"TITAN_{self.section}__{self.name}".upper()

    @property
    def short(self) -> str | None:
        """Its second, shorter environment variable."""
        return next((mark.name for mark in self.field.metadata if isinstance(mark, Short)), None)

    @property
    def is_secret(self) -> bool:
        """True: to be masked, and also read from `<NAME>_FILE` and systemd credentials."""
        return any(isinstance(mark, Secret) for mark in self.field.metadata)

    @property
    def entry(self) -> type[Entry] | None:
        """What its entries are, where it is a list of them."""
        kind = next(iter(get_args(self.field.annotation)), None)
        return kind if isinstance(kind, type) and issubclass(kind, Entry) else None

    def of(self, settings: Settings) -> Any:
        """Its value."""
        return getattr(getattr(settings, self.section), self.name)


def all_settings() -> Iterator[Setting]:
    """Every setting, in the order of the file."""
    for section, group in Settings.model_fields.items():
        fields = group.annotation.model_fields if group.annotation is not None else {}
        yield from (Setting(section, name, field) for name, field in fields.items())


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can connect; a name other than localhost could be anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
