"""What `rediss://` needs besides the URL."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of `rediss://`; they are read anew by each connection, so a renewed certificate needs no restart."""

    ca: Path | None = None
    """Certificates of those who may have signed the server's; None: those that the system trusts."""
    cert: Path | None = None
    """Our own certificate, where the server asks for one (Redis' default), with its key."""
    key: Path | None = None
