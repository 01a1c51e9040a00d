"""Settings that disagree with each other. Each line names both values and the setting to change."""

import contextlib
import ipaddress
from collections.abc import Iterator

from titan.coordination.timings import impossible
from titan.settings import Settings, is_loopback
from titan.settings_text import mask

CLOSE_IDLE_S = 1.5
"""How long a drain goes on answering on open connections before it closes idle ones (architecture 4.2)."""

BALANCER_KEEP_ALIVE_S = 60
"""nginx' own default for idle connections to an upstream; ours must outlive it, or it sends into a closed one."""


def disagreements(settings: Settings, *, longest_shutdown_s: float) -> Iterator[str]:
    """Yield one line for each pair of settings that cannot both hold."""
    http, process = settings.http, settings.process
    drain_s = http.drain_delay_s + CLOSE_IDLE_S + longest_shutdown_s
    if drain_s >= process.hard_deadline_s:
        yield (
            f"http.drain_delay_s = {http.drain_delay_s:g} and process.hard_deadline_s = {process.hard_deadline_s:g}:"
            f" a drain may take {drain_s:g} s ({http.drain_delay_s:g} + {CLOSE_IDLE_S:g} + the slowest part's"
            f" {longest_shutdown_s:g}), which must be less than the hard deadline;"
            " lower TITAN_HTTP__DRAIN_DELAY_S or raise TITAN_PROCESS__HARD_DEADLINE_S"
        )
    database = settings.database
    if database.statement_timeout_s >= database.request_budget_s:
        yield (
            f"database.statement_timeout_s = {database.statement_timeout_s:g} and database.request_budget_s ="
            f" {database.request_budget_s:g}: the server must give up before the request does;"
            " lower TITAN_DATABASE__STATEMENT_TIMEOUT_S"
        )
    if database.read_url and database.postgres_url is None:
        yield (
            f"database.read_url = {mask(database.read_url)} and database.url ="
            f" {mask(database.url) if database.url else 'unset'}: a read replica follows a PostgreSQL primary;"
            " unset DATABASE_READ_URL or set DATABASE_URL to postgresql://…"
        )
    if http.head_timeout_s > http.body_timeout_s:
        yield (
            f"http.head_timeout_s = {http.head_timeout_s:g} and http.body_timeout_s = {http.body_timeout_s:g}:"
            " a request's head is a part of the request; lower TITAN_HTTP__HEAD_TIMEOUT_S"
        )
    if (http.tls_cert is None) is not (http.tls_key is None):
        yield (
            f"http.tls_cert = {http.tls_cert or 'unset'} and http.tls_key = {http.tls_key or 'unset'}:"
            " TLS needs both; set or unset both of TITAN_HTTP__TLS_CERT and TITAN_HTTP__TLS_KEY"
        )
    yield from _redis(settings)
    yield from impossible(settings.leadership.ttl_s, settings.leadership.renew_s)
    api = settings.api
    if api.page_size > api.max_page_size:
        yield (
            f"api.page_size = {api.page_size} and api.max_page_size = {api.max_page_size}: a page cannot be larger than"
            " the largest; lower TITAN_API__PAGE_SIZE or raise TITAN_API__MAX_PAGE_SIZE"
        )
    if http.admin_port and http.admin_port == http.port:
        yield (
            f"http.admin_port = {http.admin_port} and http.port = {http.port}:"
            " must differ; set TITAN_HTTP__ADMIN_PORT=0 to have /metrics and /system on the main port"
        )
    yield from _unreachable_sources(settings)
    if not is_loopback(http.host) and not settings.security.allow_anonymous:
        yield (
            f"http.host = {http.host} and security.allow_anonymous = false: there is no authentication yet, and others"
            " could reach this address; listen on 127.0.0.1, or set TITAN_SECURITY__ALLOW_ANONYMOUS=true"
        )


def _redis(settings: Settings) -> Iterator[str]:
    redis = settings.redis
    url = redis.parsed_url
    if url is not None and settings.database.postgres_url is None:
        yield (
            f"redis.url = {url} and database.url = {settings.database.url or 'unset'}: Redis is for several instances"
            " over one PostgreSQL, the embedded store has one instance; unset REDIS_URL or set DATABASE_URL"
        )
    if (redis.tls_cert is None) is not (redis.tls_key is None):
        yield (
            f"redis.tls_cert = {redis.tls_cert or 'unset'} and redis.tls_key = {redis.tls_key or 'unset'}:"
            " a certificate needs its key; set or unset both of TITAN_REDIS__TLS_CERT and TITAN_REDIS__TLS_KEY"
        )
    if url is not None and not url.is_tls and (redis.tls_ca or redis.tls_cert):
        yield (
            f"redis.url = {url} and redis.tls_ca = {redis.tls_ca or 'unset'}, redis.tls_cert ="
            f" {redis.tls_cert or 'unset'}: without TLS they are of no use; write rediss:// in REDIS_URL or unset them"
        )


def _unreachable_sources(settings: Settings) -> Iterator[str]:
    """Yield what is certain before any name is resolved."""
    allowed = settings.sync.allowed
    for number, source in enumerate(settings.sync.sources):
        fault = allowed.host_fault(source.host)
        with contextlib.suppress(ValueError):  # a name: where it leads is looked at for every connection
            fault = fault or allowed.address_fault(ipaddress.ip_address(source.host))
        if fault is not None:
            yield f"sync.sources[{number}] ({source.name}): url = {source.url}: {fault}"


def advice(settings: Settings) -> Iterator[str]:
    """Yield one line for each setting that is allowed and probably not meant; logged as a warning at every start."""
    http = settings.http
    if settings.security.allow_anonymous and not is_loopback(http.host):
        yield (
            f"ANYONE who can reach {http.host} may read and write everything: security.allow_anonymous is true"
            " and there is no authentication yet"
        )
    for source in settings.sync.sources:
        if source.authenticates and source.url.startswith("http:") and not is_loopback(source.host):
            yield f"sync source {source.name} sends its credentials over http://, which others may read; use https://"
    if http.keep_alive_s <= BALANCER_KEEP_ALIVE_S:
        yield (
            f"http.keep_alive_s = {http.keep_alive_s:g} is not above the {BALANCER_KEEP_ALIVE_S} s that nginx keeps"
            " idle connections: it may send a request into a connection that is just being closed"
        )
    per_minute = settings.security.requests_per_minute
    if per_minute and is_loopback(http.host) and not http.trusted_proxies:
        yield (
            f"all clients together may send {per_minute} requests a minute if they come by a proxy on this machine:"
            " http.trusted_proxies is empty, so they count as one address; set TITAN_HTTP__TRUSTED_PROXIES"
        )
