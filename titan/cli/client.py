"""How commands talk to a running server: GETs with the standard library, because a health check must start fast."""

import http.client
import os
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

import click

from titan.printable import printable

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Whatever answers there may not be our server."""

url_option = click.option(
    "--url", metavar="URL", help="Base URL of the server; default: the one of TITAN_HOST and TITAN_PORT."
)
timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the server may take for each step.",
)


class Unreachable(click.ClickException):
    """No server answered: exit code 1."""

    def show(self, file: object = None) -> None:  # noqa: ARG002
        """Print the reason to standard error."""
        click.echo(f"titan: {self.message}", err=True)


def get(
    url: str | None, path: str, *, timeout_s: float, admin: bool = False, with_token: bool = True
) -> tuple[int, bytes]:
    """GET a path of the server and return status and body.

    Without a URL it is the server that this environment describes, on its admin port if it has one and `admin` is
    True. `TITAN_TOKEN` goes with the request, but for one to somebody else (`with_token`). Redirects are not followed.
    Raises `Unreachable`, and `click.UsageError` for what is no URL or no token.
    """
    base = url or local_url(os.environ, admin=admin)
    headers = _headers(os.environ if with_token else {})
    connection, prefix = _connect(base, timeout_s, is_our_own=url is None)
    try:
        connection.request("GET", prefix + path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        raise Unreachable(f"{printable(base)} does not answer: {printable(reason)}") from None
    finally:
        connection.close()


def local_url(environ: Mapping[str, str], *, admin: bool = False) -> str:
    """Give the URL of the server that this environment describes, seen from its own machine.

    Reads the variables only, not a `--config` file: whoever sets the address there names it with `--url`.
    """
    port = environ.get("TITAN_HTTP__ADMIN_PORT", "") if admin else ""
    if port not in ("", "0"):
        return f"http://127.0.0.1:{port}"
    host = environ.get("TITAN_HTTP__HOST") or environ.get("TITAN_HOST") or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    port = environ.get("TITAN_HTTP__PORT") or environ.get("TITAN_PORT") or ""
    scheme = "https" if environ.get("TITAN_HTTP__TLS_CERT") else "http"
    return f"{scheme}://{host}:{port if port.isdecimal() else '8080'}"  # Kubernetes' own TITAN_PORT is a URL


def taken_apart(url: str) -> SplitResult | None:
    """Take the URL of a server apart; None where it is none that could be asked."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")
        parts.path.encode("ascii")
    except ValueError:
        return None
    return parts if is_usable else None


def _connect(base: str, timeout_s: float, *, is_our_own: bool) -> tuple[http.client.HTTPConnection, str]:
    parts = taken_apart(base)
    if parts is None:
        raise click.UsageError(f"{printable(base)} is no http:// or https:// URL")
    assert parts.hostname is not None
    prefix = parts.path.rstrip("/")
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s), prefix
    context = ssl.create_default_context()
    if is_our_own:  # the certificate is for the name that clients use, not for this machine's loopback address
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout_s, context=context), prefix


def _headers(environ: Mapping[str, str]) -> dict[str, str]:
    token = environ.get("TITAN_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:  # else the error about its header would show it
        raise click.UsageError("TITAN_TOKEN is no token: it holds spaces, line ends or letters that none has")
    return {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
