"""Settings of the external sync: who is pulled from, how often, what of it, and where connections may go."""

import ipaddress
import json
import os
import re
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from titan.settings_marks import Entry, Secret, Section
from titan.store.contract import Kind, is_id
from titan.sync.addresses import Allowed, Network
from titan.sync.filters import make_filter, reference_of
from titan.sync.source import Source, basic, bearer

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2


class SyncKind(StrEnum):
    """What can be pulled."""

    SHELL = Kind.SHELL
    SUBMODEL = Kind.SUBMODEL
    CONCEPT_DESCRIPTION = Kind.CONCEPT_DESCRIPTION


class SyncSource(Entry):
    """One server to pull from."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="What the source is called in metrics and reports; another name is another source.",
        examples=["plant-b"],
    )
    url: str = Field(
        description="Where its /shells and the others are; https:// or http://, without credentials.",
        examples=["https://aas.plant-b.example/api/v3.1"],
    )
    interval_s: float = Field(default=300, ge=1, le=86400 * 7, description="From the start of one pull to the next.")
    kinds: tuple[SyncKind, ...] = Field(default=tuple(SyncKind), description="What is pulled.")
    ids: tuple[str, ...] = Field(
        default=(), max_length=10_000, description="Only documents with these ids; empty: whatever its lists show."
    )
    id_short: str = Field(default="", max_length=128, description="Only documents with this idShort.")
    semantic_id: str = Field(
        default="",
        max_length=2000,
        description="Of submodels only those with this semanticId: a global reference's value, or a Reference as JSON.",
    )
    global_asset_id: str = Field(
        default="", max_length=2000, description="Of shells only those of the asset with this globalAssetId."
    )
    token: Annotated[str, Secret()] = Field(default="", description="Sent as bearer token.")
    token_file: Path | None = Field(default=None, description="File with the token; read again for every pull.")
    username: str = Field(default="", pattern=r"^[^:\x00-\x1f]*$", description="For HTTP's basic authentication.")
    password: Annotated[str, Secret()] = Field(default="", description="Password of username.")
    password_file: Path | None = Field(default=None, description="File with the password; read again for every pull.")
    header: str = Field(default="", description="Name of a request header that authenticates, e.g. X-API-Key.")
    header_value: Annotated[str, Secret()] = Field(default="", description="Value of header.")
    header_value_file: Path | None = Field(
        default=None, description="File with the value of header; read again for every pull."
    )
    ca_file: Path | None = Field(
        default=None, description="Authorities (PEM) that may have signed its certificate; unset: the system's."
    )

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be http://… or https://…")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not hold credentials; use token, username and password, or header")
        if parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("must be an ASCII URL without query and fragment")
        if parts.port == 0:  # raises ValueError for what is no port
            raise ValueError("has no usable port")
        return url.rstrip("/")

    @field_validator("kinds")
    @classmethod
    def _any(cls, kinds: tuple[SyncKind, ...]) -> tuple[SyncKind, ...]:
        if not kinds:
            raise ValueError("must name one kind at least")
        return kinds

    @field_validator("ids")
    @classmethod
    def _ids(cls, ids: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(is_id, ids)):
            raise ValueError("must be ids of 1 to 2,048 characters")
        return ids

    @field_validator("semantic_id")
    @classmethod
    def _reference(cls, text: str) -> str:
        if text:
            reference_of(text)
        return text

    @field_validator("header")
    @classmethod
    def _name(cls, name: str) -> str:
        if name and (not _HEADER_NAME.fullmatch(name) or name.lower() in {"host", "content-length", "connection"}):
            raise ValueError("must be the name of a header that authenticates")
        return name

    @field_validator("token", "password", "header_value")
    @classmethod
    def _one_line(cls, text: str) -> str:
        if not text.isprintable():
            raise ValueError("must be one line of printable text")
        return text

    @field_validator("token_file", "password_file", "header_value_file", "ca_file")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not os.access(path, os.R_OK):
            raise ValueError("no such file, or not readable by this user")
        return path

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        ways = {
            "token": bool(self.token or self.token_file),
            "username": bool(self.username),
            "header": bool(self.header),
        }
        if sum(ways.values()) > 1:
            raise ValueError(f"{' and '.join(name for name, used in ways.items() if used)} are given; one is allowed")
        for name, user in (("token", ""), ("password", "username"), ("header_value", "header")):
            text, file = getattr(self, name), getattr(self, f"{name}_file")
            if text and file:
                raise ValueError(f"{name} and {name}_file are given; one is allowed")
            if user and bool(text or file) is not bool(getattr(self, user)):
                raise ValueError(f"{user} and {name} belong together; give both or neither")
        return self

    @property
    def host(self) -> str:
        """The host of `url`, as it stands there in lower case."""
        return urlsplit(self.url).hostname or ""

    @property
    def authenticates(self) -> bool:
        """Whether credentials are sent."""
        return bool(self.token or self.token_file or self.username or self.header)

    def as_source(self) -> Source:
        """Return what is pulled; reads the files of its secrets. Raises `OSError`, `ValueError` where that fails."""
        return Source(
            name=self.name,
            url=self.url,
            interval_s=self.interval_s,
            filter=make_filter(
                kinds=[Kind(kind) for kind in self.kinds],
                ids=self.ids,
                id_short=self.id_short,
                semantic_id=self.semantic_id,
                global_asset_id=self.global_asset_id,
            ),
            headers=self._headers(),
            ca_file=self.ca_file,
        )

    def _headers(self) -> tuple[tuple[str, str], ...]:
        if self.token or self.token_file:
            return bearer(_secret(self.token, self.token_file))
        if self.username:
            return basic(self.username, _secret(self.password, self.password_file))
        if self.header:
            return ((self.header, _secret(self.header_value, self.header_value_file)),)
        return ()


class Sync(Section):
    """Pulling documents from other AAS servers; the leader does it."""

    allowed_networks: str = Field(
        default="",
        description="Where connections may go: addresses and networks, with commas; empty: any public address.",
        examples=["10.20.0.0/16,192.168.7.1"],
    )
    allowed_hosts: str = Field(
        default="",
        description="Hosts that a source's url may name, with commas; empty: any.",
        examples=["aas.plant-b.example"],
    )
    sources: Annotated[tuple[SyncSource, ...], Secret()] = Field(
        default=(),
        max_length=100,
        description="The servers to pull from, an entry each; in the environment as a JSON list of objects.",
    )

    @field_validator("allowed_networks")
    @classmethod
    def _networks_only(cls, text: str) -> str:
        _networks(text)
        return text

    @field_validator("sources", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            value = json.loads(value)
        except ValueError:
            value = None
        if not isinstance(value, list):
            raise ValueError("must be a JSON list of objects")  # noqa: TRY004  (pydantic takes this one only)
        return value

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[SyncSource, ...]) -> tuple[SyncSource, ...]:
        twice = [name for name, number in Counter(source.name for source in sources).items() if number > 1]
        if twice:
            raise ValueError(f"the name {twice[0]} is given to more than one entry")
        return sources

    @property
    def allowed(self) -> Allowed:
        """Where connections may go."""
        hosts = frozenset(part.strip().lower() for part in self.allowed_hosts.split(",") if part.strip())
        return Allowed(_networks(self.allowed_networks), hosts)


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _secret(text: str, file: Path | None) -> str:
    if file is None:
        return text
    text = file.read_text(encoding="utf-8").strip()
    if not text or not text.isprintable():
        raise ValueError(f"{file} must hold one line of printable text")
    return text
