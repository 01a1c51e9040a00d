"""The real server made worse on purpose, for controls: `SABOTAGE=early,leak python -m tests.chaos.sabotaged`.

* `early`: writes are acknowledged before their COMMIT, which follows 50 ms later.
* `leak`: each time it connects it begins a transaction on one more connection and forgets about it.
* `fragile`: a database that is away is a crash of the actor, not a state.
* `blind`: it looks every 30 s whether the database is well.
* `slow`: while there is a file $SLOW_WHILE, a third of what is read in PostgreSQL or Redis takes up to 1.2 s to come
  to who asked.
* `unnamed`: what a change has named since may be put into a cache, and is used.
* `forgetful`: it reads from a replica whatever the session has seen.
"""

import asyncio
import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import trio

from supervisors.root import serve
from titan.cache.shared import Shared
from titan.cache.tail import Tail
from titan.settings_load import load
from titan.store.postgres.connector import Connector
from titan.store.postgres.database import Database
from titan.store.postgres.errors import Unreachable
from titan.store.postgres.limits import Limits
from titan.store.postgres.pool import Pool
from titan.store.postgres.replica import Replica
from titan.store.postgres.session import Session
from titan.store.postgres.store import PostgresStore
from titan.store.postgres.url import PostgresUrl

PROGRAM = (sys.executable, "-m", "tests.chaos.sabotaged")
LATE_S = 0.05
SLOW_S = 1.2

_really_give_back = Pool._give_back
_owing: set[Session] = set()
_leaked: list[Session] = []


def _replace(owner: type, name: str, function: Callable[..., Any]) -> None:
    patch.object(owner, name, function).start()  # for the rest of the process


async def _commit_never(session: Session) -> None:
    _owing.add(session)


def _give_back_late(pool: Pool, session: Session) -> None:
    if session in _owing:
        _owing.discard(session)
        pool._aside(_commit_late(pool, session))
    else:
        _really_give_back(pool, session)


async def _commit_late(pool: Pool, session: Session) -> None:
    await asyncio.sleep(LATE_S)
    try:
        await session._connection.execute("COMMIT")
    except Exception:  # noqa: BLE001  (whoever acknowledges early does not care)
        session.drop()
    _really_give_back(pool, session)


def _make_leaky() -> None:
    really = Database.connect

    async def connect(self: Database) -> None:
        await really(self)
        session = await Connector(self.url, self.limits).connect()
        await session.begin("SET idle_in_transaction_session_timeout = 0")
        _leaked.append(session)

    _replace(Database, "connect", connect)


def _make_fragile() -> None:
    really = Database.connect

    async def connect(self: Database) -> None:
        try:
            await really(self)
        except Unreachable as error:
            raise RuntimeError("sabotaged") from error

    _replace(Database, "connect", connect)


def _make_blind() -> None:
    really = Database.__init__

    def init(self: Database, url: PostgresUrl, limits: Limits | None = None, **more: Any) -> None:
        really(self, url, replace(limits or Limits(), probe_every_s=30.0), **more)

    _replace(Database, "__init__", init)


def _make_forgetful() -> None:
    for name in ("find", "page"):
        really = getattr(Replica, name)

        async def read(*args: Any, really: Any = really, **options: Any) -> object:
            return await really(*args, **{**options, "mark": 0})

        _replace(Replica, name, read)


def _make_slow(owner: type, name: str) -> None:
    really, rng, while_there_is = getattr(owner, name), random.Random(1), os.environ["SLOW_WHILE"]

    async def slowly(self: Any, *args: Any, **more: Any) -> Any:
        found = await really(self, *args, **more)
        if rng.random() < 1 / 3 and os.access(while_there_is, os.F_OK):
            await trio.sleep(rng.uniform(0, SLOW_S))
        return found

    _replace(owner, name, slowly)


def _stands(tail: Tail, _key: bytes, _revision: int, shown: int) -> bool:
    return shown >= tail._whole_from


def sabotage(name: str) -> None:
    """Make the server worse in one way."""
    match name:
        case "early":
            _replace(Session, "commit", _commit_never)
            _replace(Pool, "_give_back", _give_back_late)
        case "leak":
            _make_leaky()
        case "fragile":
            _make_fragile()
        case "blind":
            _make_blind()
        case "slow":
            _make_slow(PostgresStore, "find")
            _make_slow(Shared, "get")
        case "unnamed":
            _replace(Tail, "stands", _stands)
        case "forgetful":
            _make_forgetful()
        case _:
            raise ValueError(name)


if __name__ == "__main__":
    for chosen in os.environ["SABOTAGE"].split(","):
        sabotage(chosen)
    sys.exit(serve(load(os.environ, longest_shutdown_s=0)))
