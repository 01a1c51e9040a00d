"""What the settings say of clients that follow events."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from titan.settings_marks import Section


class Events(Section):
    """Clients that follow what changes."""

    max_clients: int = Field(
        default=2000, ge=1, le=100_000, description="Clients that may follow events at once; more are answered 503."
    )
    max_data_bytes: int = Field(
        default=64 * 1024,
        ge=0,
        le=1024 * 1024,
        description="Largest document that its event carries as data; 0: none is.",
    )
    allowed_origins: str = Field(
        default="",
        description="Origins of other sites whose pages may open /events/ws in a browser, separated by commas.",
        examples=["https://dashboard.example.com"],
    )

    @field_validator("allowed_origins")
    @classmethod
    def _origins_only(cls, text: str) -> str:
        _read(text)
        return text

    @property
    def origins(self) -> frozenset[str]:
        """What `allowed_origins` names."""
        return _read(self.allowed_origins)


_OWN_PORTS = {"http": 80, "https": 443}
"""Which browsers leave out: an origin with one of them would never be theirs."""


def _read(text: str) -> frozenset[str]:
    """Read origins as browsers send them. Raises `ValueError` for what is none."""
    origins = frozenset(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        at = urlsplit(origin)
        own_port = _OWN_PORTS.get(at.scheme)
        is_plain = "@" not in origin and "*" not in origin
        is_origin = own_port is not None and at.hostname and is_plain and at.port != own_port
        if not is_origin or origin != f"{at.scheme}://{at.netloc.lower()}":
            raise ValueError(f"{origin!r} is no origin such as https://dashboard.example.com")
    return origins
