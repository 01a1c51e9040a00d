"""The server's certificate: read from two files, and read again when they change."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from titan.http.der import not_after

_Stamp = tuple[tuple[int, int, int] | None, ...]

_END = "-----END CERTIFICATE-----"


class BadCertificate(Exception):
    """The files cannot serve as a certificate; the text says which and why."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    expires_at: float
    stamp: _Stamp


class TlsCertificate:
    """A certificate chain and its key; TLS 1.2 or newer, HTTP/1.1 only.

    Not guaranteed: that it is valid today or fits the host name; clients judge that. Connections keep the certificate
    that they were made with. New files that do not work change nothing.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read the files; raise BadCertificate where they do not work."""
        self._certificate = certificate
        self._key = key
        self._loaded = self._load()
        self._refused: _Stamp | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """What the next connection is made with."""
        return self._loaded.context

    @property
    def expires_at(self) -> float:
        """When the certificate in use ends, in seconds since the epoch."""
        return self._loaded.expires_at

    def reload_if_changed(self) -> bool:
        """Take what the files hold now, if they changed; True where a new certificate is in use.

        Raises BadCertificate where the new files do not work, once per change: two files are rarely replaced in one
        step, and the other half comes with the next look. Blocks for a few reads of small files.
        """
        stamp = self._stamp()
        if stamp in (self._loaded.stamp, self._refused):
            return False
        self._refused = stamp
        self._loaded = self._load()
        self._refused = None
        return True

    def _stamp(self) -> _Stamp:
        return tuple(_file_stamp(path) for path in (self._certificate, self._key))

    def _load(self) -> _Loaded:
        stamp = self._stamp()  # before reading: what changes while it is read is read again
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key, password=_refuse_password)
            leaf = self._certificate.read_text("ascii").partition(_END)[0] + _END
            expires_at = not_after(ssl.PEM_cert_to_DER_cert(leaf[leaf.index("-----BEGIN CERTIFICATE") :]))
        except (OSError, ValueError) as error:  # a fault of OpenSSL is an OSError
            raise BadCertificate(f"certificate {self._certificate} with key {self._key}: {_reason(error)}") from error
        return _Loaded(context, expires_at, stamp)


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _refuse_password() -> str:
    raise BadCertificate("the key is encrypted; a server that starts by itself needs it plain")


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLError(reason="KEY_VALUES_MISMATCH"):
            return "the key does not belong to the certificate"
        case ssl.SSLError():
            return f"not readable as PEM ({error.reason or error})"
        case OSError(strerror=str() as words):
            return words
        case _:
            return str(error)
