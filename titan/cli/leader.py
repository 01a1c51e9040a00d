"""`titan leader`: who leads in which role, and handing over on purpose; through Redis or the store, never by HTTP."""

import json
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import trio

from titan.cli.options import config_option, json_option, load_settings
from titan.cli.transfer.stores import first, reading, store_errors
from titan.coordination.election import Election, ElectionAway
from titan.coordination.roles import ROLES
from titan.exits import ExitCode
from titan.printable import printable
from titan.redis.contract import RedisAway
from titan.settings import Settings
from titan.store.contract import Store, TermBegun
from titan.store.postgres.url import PostgresUrl

LOOK_EVERY_S = 0.1
LETS_GO_WITHIN_S = 5.0
"""A leader looks twice a second and stops its work within a second and a half."""
TAKEN_WITHIN_S = 3.0


class Failed(click.ClickException):
    """It was not done: exit code 1."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One role as `titan leader status` shows it."""

    role: str
    leader: str | None
    """The id of the instance; None: nobody leads."""
    holder: str | None
    """The lease's value, another one at each start of a process."""
    left_s: float | None
    """How long the lease holds if it is not renewed; None where it has no end."""
    is_release_asked_for: bool
    epoch: int
    """Number of the role's newest term; 0 before the first."""
    epoch_of: str | None
    """Whose term that is or was."""
    began_ms: int | None


@click.group()
def command() -> None:
    """Show who leads, and hand over on purpose.

    \b
    Example:
      titan leader status
      titan leader release cleanup-worker
    """


@command.command()
@config_option
@json_option
def status(config: Path | None, *, as_json: bool) -> int:
    """Show who leads in which role: instance, number of the term, since when, how long the lease holds.

    Exit codes: 0 every role has a leader, 1 one has none or nobody can be asked, 2 usage or configuration, 4 the schema
    is not ready.

    \b
    Example:
      titan leader status --json
    """
    settings = load_settings(config).settings
    with _errors():
        shown = trio.run(_status, settings)
    if as_json:
        click.echo(json.dumps([asdict(role) for role in shown], indent=2))
    else:
        _draw(shown)
    return ExitCode.DONE if all(role.leader for role in shown) else ExitCode.FAILED


@command.command()
@click.argument("role", type=click.Choice(ROLES), metavar="ROLE")
@click.option("--force", is_flag=True, help="Take the lease away, for a leader that is known to be no more.")
@config_option
def release(role: str, *, force: bool, config: Path | None) -> None:
    """Have the leader of ROLE stop its work and let another instance lead.

    The leader notices within half a second, stops what it does for the role, releases the lease and stands back; where
    there is no other instance it leads again after a moment. With --force the lease is taken away at once, without a
    word to its holder: should that one live after all, the database refuses what it still writes.

    Exit codes: 0 handed over, 1 nobody leads or the leader does not let go, 2 usage or configuration.

    \b
    Example:
      titan leader release cleanup-worker
    """
    settings = load_settings(config).settings
    if not isinstance(settings.database.place, PostgresUrl):
        raise Failed("the embedded store is served by one process, which leads: there is nobody to hand over to")
    with _errors():
        click.echo(trio.run(_release, settings, role, force))


async def _status(settings: Settings) -> list[Shown]:
    async with reading(settings.database.place) as store:
        terms = {term.role: term for term in await store.terms()}
        if not isinstance(settings.database.place, PostgresUrl):
            return [_of_the_one_process(settings.database.place, role, terms.get(role)) for role in ROLES]
        async with _election(settings, store) as election:
            return [await _look(election, role, terms.get(role)) for role in ROLES]


async def _look(election: Election, role: str, term: TermBegun | None) -> Shown:
    held = await election.look(role)
    if held is None:
        return _shown(role, None, term)
    left_s = None if held.left_s == math.inf else held.left_s
    return _shown(role, held.holder, term, left_s=left_s, is_release_asked_for=held.is_asked_for)


def _of_the_one_process(path: Path, role: str, term: TermBegun | None) -> Shown:
    from titan.store.sqlite.lock import server_version  # noqa: PLC0415  (only where the embedded store is used)

    return _shown(role, None if server_version(path) is None or term is None else term.holder, term)


def _shown(
    role: str,
    holder: str | None,
    term: TermBegun | None,
    *,
    left_s: float | None = None,
    is_release_asked_for: bool = False,
) -> Shown:
    return Shown(
        role=role,
        leader=None if holder is None else _instance(holder),
        holder=holder,
        left_s=left_s,
        is_release_asked_for=is_release_asked_for,
        epoch=0 if term is None else term.epoch,
        epoch_of=None if term is None else term.holder,
        began_ms=None if term is None else term.began_ms,
    )


def _instance(holder: str) -> str:
    return holder.partition("/")[0]


async def _release(settings: Settings, role: str, force: bool) -> str:  # noqa: FBT001  (trio.run takes no keywords)
    async with reading(settings.database.place) as store, _election(settings, store) as election:
        before = await election.look(role)
        if before is None:
            raise Failed(f"nobody leads {role}")
        leader = printable(_instance(before.holder))
        if force:
            await election.clear(role)
        else:
            await election.ask(role)
            await _wait_until_let_go(election, role, before.holder)
        return f"{role}: {leader} let go; {await _next(election, role)}"


async def _wait_until_let_go(election: Election, role: str, holder: str) -> None:
    with trio.move_on_after(LETS_GO_WITHIN_S):
        while True:
            held = await election.look(role)
            if held is None or held.holder != holder or not held.is_asked_for:
                return
            await trio.sleep(LOOK_EVERY_S)
    raise Failed(
        f"{printable(_instance(holder))} did not let go of {role} within {LETS_GO_WITHIN_S:g} s: if it is no more, its"
        " lease runs out by itself, or --force takes it away"
    )


async def _next(election: Election, role: str) -> str:
    """Say who leads now; an instance that is alone takes it back."""
    with trio.move_on_after(TAKEN_WITHIN_S):
        while True:
            if (held := await election.look(role)) is not None:
                return f"{printable(_instance(held.holder))} leads"
            await trio.sleep(LOOK_EVERY_S)
    return "nobody has taken over yet"


@asynccontextmanager
async def _election(settings: Settings, store: Store) -> AsyncIterator[Election]:
    """Open the election that the instances of these settings hold."""
    # Imported only now: --help needs no drivers.
    from titan.coordination.on_postgres import PostgresElection  # noqa: PLC0415
    from titan.store.postgres.store import PostgresStore  # noqa: PLC0415

    url = settings.redis.parsed_url
    if url is None:
        assert isinstance(store, PostgresStore)
        yield PostgresElection(store.leases)
        return
    from titan.coordination.on_redis import RedisElection  # noqa: PLC0415
    from titan.redis.opening import open_redis  # noqa: PLC0415
    from titan.redis.tls import Tls  # noqa: PLC0415

    redis = settings.redis
    tls = Tls(redis.tls_ca, redis.tls_cert, redis.tls_key) if url.is_tls else None
    async with open_redis(url, tls=tls) as opened:
        yield RedisElection(opened)


@contextmanager
def _errors() -> Iterator[None]:
    """End the command with one line where the election or the store fails."""
    with store_errors():
        try:
            yield
        except* (ElectionAway, RedisAway) as group:
            raise Failed(f"the election cannot be asked: {first(group)}") from None


def _draw(shown: Sequence[Shown]) -> None:
    from rich.console import Console  # noqa: PLC0415  (what draws is loaded by who draws)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("role", "leader", "term", "since", "lease holds", box=None, pad_edge=False)
    for role in shown:
        table.add_row(
            role.role,
            Text(printable(role.leader or "nobody"), "green" if role.leader else "red"),
            str(role.epoch or "-"),
            _since(role),
            _holds(role),
        )
    Console().print(table)


def _since(role: Shown) -> str:
    if role.leader is None or role.began_ms is None:
        return "-"
    if role.epoch_of != role.holder:
        return "about to begin"
    return f"{max(0, time.time() - role.began_ms / 1000):.0f} s"


def _holds(role: Shown) -> str:
    if role.leader is None:
        return "-"
    holds = "without end" if role.left_s is None else f"{role.left_s:.1f} s"
    return f"{holds}, release asked for" if role.is_release_asked_for else holds
