"""Opens sessions: resolves names, tries hosts side by side, finds out about poolers, takes only what was asked for.

**How a pooler is detected.** A session starts with a parameter of our own name, `titan.direct`, and a value of its own.
PostgreSQL keeps any parameter with a dot in its name; PgBouncer and its like refuse what they do not know ("unsupported
startup parameter"), lose what they are told to ignore, or hand out a server session that was begun for another client.
In each case we connect again without parameters, without prepared statements, and put every statement into a
transaction. `?pgbouncer=true` or `false` in the URL spares the question.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import asyncpg

from titan.store.postgres.errors import DRIVER_ERRORS, Unreachable, words
from titan.store.postgres.limits import Limits
from titan.store.postgres.session import Session
from titan.store.postgres.url import Host, Pooler, PostgresUrl, Target

OLDEST_SERVER = 14

_MARK = "titan.direct"
_REFUSED_BY_POOLER = "startup parameter"
_ABOUT = """
SELECT current_setting('titan.direct', true) IS NOT DISTINCT FROM $1 AS is_direct,
       pg_is_in_recovery() AS is_standby,
       current_setting('default_transaction_read_only')::boolean AS is_read_only
"""


class _Pooled(Exception):
    """There is a pooler in between, where none was expected."""


class Connector:
    """Makes sessions to the one server of several that serves, newest knowledge first."""

    def __init__(self, url: PostgresUrl, limits: Limits, rng: Random | None = None) -> None:
        self._url = url
        self._limits = limits
        self._rng = rng or Random()  # noqa: S311  (spreads the ends of connections, guards nothing)
        self._first = url.hosts[0]
        self._is_pooled = url.pooler is Pooler.YES

    async def connect(self) -> Session:
        """Open a session. Raises `Unreachable`, with the reason of each host."""
        hosts = [self._first, *(host for host in self._url.hosts if host != self._first)]
        host, session = await _first_good(hosts, self._connect, self._limits.stagger_s)
        self._first = host
        return session

    async def _connect(self, host: Host) -> Session:
        try:
            async with asyncio.timeout(self._limits.connect_s):
                return await self._checked(host)
        except (Unreachable, *DRIVER_ERRORS) as error:
            raise Unreachable(f"{words(error)} ({host})") from error

    async def _checked(self, host: Host) -> Session:
        if not self._is_pooled:
            try:
                return await self._session(host, is_pooled=False)
            except _Pooled:
                if self._url.pooler is Pooler.NO:
                    raise Unreachable("a pooler answers, in spite of pgbouncer=false") from None
                self._is_pooled = True
        return await self._session(host, is_pooled=True)

    async def _session(self, host: Host, *, is_pooled: bool) -> Session:
        mark = secrets.token_hex(8)
        session = await self._open(host, mark, is_pooled=is_pooled)
        try:
            about = await session.read_row(_ABOUT, mark)
            assert about is not None
            self._check(session, **about)
        except BaseException:
            session.drop()
            raise
        return session

    async def _open(self, host: Host, mark: str, *, is_pooled: bool) -> Session:
        settings = {"application_name": self._url.application_name}
        if not is_pooled:
            settings |= {_MARK: mark, **self._limits.as_settings()}
        try:
            connection = await asyncpg.connect(
                self._url.driver_dsn,
                host=host.name,
                port=host.port,
                user=self._url.user,
                password=self._url.password,
                database=self._url.database,
                server_settings=settings,
                statement_cache_size=0 if is_pooled else 100,
                target_session_attrs="any",  # judged here, for every host alike
                timeout=None,
            )
        except asyncpg.ProtocolViolationError as error:
            if not is_pooled and _REFUSED_BY_POOLER in str(error):
                raise _Pooled from error
            raise
        life_s = self._limits.max_age_s * self._rng.uniform(0.8, 1.0)  # so that they do not all end at once
        return Session(
            connection,
            self._limits,
            is_pooled=is_pooled,
            is_standby=self._url.target is Target.STANDBY,
            expires_at=time.monotonic() + life_s,
        )

    def _check(self, session: Session, *, is_direct: bool, is_standby: bool, is_read_only: bool) -> None:
        if not (session.is_pooled or is_direct):
            raise _Pooled
        if session.server_version < OLDEST_SERVER:
            raise Unreachable(f"PostgreSQL {session.server_version} is too old, {OLDEST_SERVER} or later is needed")
        if session.server_encoding != "UTF8":
            raise Unreachable(f"the database has encoding {session.server_encoding}, UTF8 is needed")
        require(self._url.target, is_standby=is_standby, is_read_only=is_read_only)


def require(target: Target, *, is_standby: bool, is_read_only: bool) -> None:
    """Raise `Unreachable` where a server is not what `target_session_attrs` asks for."""
    if target is Target.STANDBY and not is_standby:
        raise Unreachable("the server is no standby: it is a primary, or was promoted")
    if is_standby and target not in (Target.ANY, Target.STANDBY):
        raise Unreachable("the server is a standby")
    if is_read_only and target is Target.READ_WRITE:
        raise Unreachable("the server is read-only (default_transaction_read_only)")


async def _first_good(
    hosts: Sequence[Host], connect: Callable[[Host], Awaitable[Session]], stagger_s: float
) -> tuple[Host, Session]:
    """Try hosts in order, the next one beside those that take long; return the first that serves, close all others."""
    waiting = list(hosts)
    running: dict[asyncio.Task[Session], Host] = {}
    reasons: list[str] = []
    try:
        while waiting or running:
            if waiting:
                host = waiting.pop(0)
                running[asyncio.ensure_future(connect(host))] = host
            done, _ = await asyncio.wait(
                running, timeout=stagger_s if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                host = running.pop(task)
                if not isinstance(error := task.exception(), Unreachable):
                    return host, task.result()
                reasons.append(error.reason)
    finally:
        await _call_off(running)
    raise Unreachable("; ".join(reasons))


async def _call_off(running: dict["asyncio.Task[Session]", Host]) -> None:
    for task in running:
        task.cancel()
    for result in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(result, Session):
            result.drop()
