"""The real server made worse on purpose, for controls: `SABOTAGE=early,leak python -m tests.chaos.sabotaged`.

* `early`: writes are acknowledged before their COMMIT, which follows 50 ms later.
* `leak`: each time it connects it begins a transaction on one more connection and forgets about it.
* `fragile`: a database that is away is a crash of the actor, not a state.
* `blind`: it looks every 30 s whether the database is well.
* `forgetful`: it reads from a replica whatever the session has seen.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from supervisors.root import serve
from titan.settings_load import load
from titan.store.postgres.connector import Connector
from titan.store.postgres.database import Database
from titan.store.postgres.errors import Unreachable
from titan.store.postgres.limits import Limits
from titan.store.postgres.pool import Pool
from titan.store.postgres.replica import Replica
from titan.store.postgres.session import Session
from titan.store.postgres.url import PostgresUrl

PROGRAM = (sys.executable, "-m", "tests.chaos.sabotaged")
LATE_S = 0.05

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
        case "forgetful":
            _make_forgetful()
        case _:
            raise ValueError(name)


if __name__ == "__main__":
    for chosen in os.environ["SABOTAGE"].split(","):
        sabotage(chosen)
    sys.exit(serve(load(os.environ, longest_shutdown_s=0)))
