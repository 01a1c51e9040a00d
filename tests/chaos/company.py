"""Instances that stand for one role and count, each behind proxies of its own, over PostgreSQL and Redis.

Their leader writes one number after the other (`tests.support.numbering`). Whatever happens to leaders, leases and
networks (`leader_faults`), in the end every number from 1 on must be there once, and none may have been written under
a term that was over. Who leads is seen where an operator sees it, in `titan_leader_status`.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.rigs import QUICK_SERVER
from tests.support.leaders import wait_for_leader
from tests.support.numbering import PROGRAM, TABLE
from tests.support.postgres import Postgres, running_server
from tests.support.postgres_programs import wait_for_state
from tests.support.proxy import Proxy, proxied
from tests.support.redis import RedisServer, running_redis
from tests.support.server import ROOT, Server, clean_environment
from tests.support.waiting import wait_until
from titan.store.migrations import on_postgres
from titan.store.postgres.url import parse

_databases = itertools.count()


@dataclass(frozen=True, slots=True)
class Pace:
    """The times of an election, and what they allow."""

    ttl_s: float
    renew_s: float

    @property
    def crash_s(self) -> float:
        """How soon a leader that is gone without a word is replaced (the guide: 30 s, and jitter)."""
        return self.ttl_s + 0.5


SUB_SECOND = Pace(0.9, 0.3)
GUIDE = Pace(30, 10)


class Member:
    """One instance and its ways to the servers."""

    def __init__(self, name: str, folder: Path, redis: Proxy, database: Proxy, settings: dict[str, str]) -> None:
        self.name, self.redis, self.database = name, redis, database
        self._folder, self._settings = folder, settings
        self.stop_file = folder / f"{name}.stop"
        self.server = self.start()

    def start(self) -> Server:
        """Start it, or start it again."""
        own = {"TITAN_INSTANCE_ID": self.name, "NUMBERING_STOP": str(self.stop_file), "TITAN_LOG_FORMAT": "json"}
        self.server = Server(self._folder / self.name, settings={**self._settings, **own}, program=PROGRAM)
        return self.server

    def end(self) -> None:
        """Kill it, however it is."""
        self.server.kill()
        self.server.wait()

    def command(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Run a command of the program with the settings of this instance."""
        own = clean_environment(self._settings)
        program = [sys.executable, "-m", "titan", *arguments]
        return subprocess.Popen(program, env=own, cwd=ROOT, stdout=subprocess.DEVNULL)

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.server.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.server.pid, signal.SIGCONT)

    def stop_itself(self, where: str) -> None:
        """Have it stop itself at a point of its work; return once it has."""
        self.stop_file.write_text(where)
        wait_for_state(self.server.pid, "T")


@dataclass(slots=True)
class Company:
    """All of it."""

    pace: Pace
    postgres: Postgres
    database: str
    redis: RedisServer | None
    members: list[Member] = field(default_factory=list)

    @property
    def leader(self) -> Member:
        """Who leads, waited for."""
        found, _ = wait_for_leader([member.server for member in self.members], within_s=self.pace.ttl_s * 2 + 10)
        return next(member for member in self.members if member.server is found)

    def others(self, than: Member) -> list[Member]:
        """Return all but one."""
        return [member for member in self.members if member is not than]

    def taken_over(self, from_whom: Member, *, within_s: float | None = None) -> float:
        """Wait until another one leads; return how long that took."""
        others = [member.server for member in self.others(from_whom)]
        return wait_for_leader(others, within_s=within_s or self.pace.ttl_s + 15)[1]

    def written(self) -> int:
        """Return how many effects there are."""
        return int(self.postgres.psql("SELECT count(*) FROM effects", self.database))

    def wait_for_work(self, more: int = 5) -> None:
        """Return once some more effects are there."""
        before = self.written()
        wait_until(lambda: self.written() >= before + more, within_s=self.pace.ttl_s * 2 + 15, what="work")

    def findings(self) -> list[str]:
        """Say what is wrong with the effects, and with the processes."""
        rows = self.postgres.psql("SELECT number, epoch, newest FROM effects ORDER BY n", self.database)
        found = judge([(int(a), int(b), int(c)) for a, b, c in (line.split("|") for line in rows.splitlines())])
        for member in self.members:
            found += [f"{member.name} logged {word!r}" for word in _BAD if word in member.server.logs()]
        return found


_BAD = ("Traceback", "gave up")


def judge(effects: Sequence[tuple[int, int, int]]) -> list[str]:
    """Say what is wrong with effects: number, epoch, newest epoch when it was written; in the order of writing."""
    numbers = sorted(number for number, _, _ in effects)
    doubled = sorted({a for a, b in itertools.pairwise(numbers) if a == b})
    missing = sorted(set(range(1, len(set(numbers)) + 1)) - set(numbers))
    stale = [(number, epoch, newest) for number, epoch, newest in effects if epoch != newest]
    return [
        *(f"done twice: {number}" for number in doubled[:5]),
        *(f"not done: {number}" for number in missing[:5]),
        *(
            f"{number} was written in term {epoch} although term {newest} had begun"
            for number, epoch, newest in stale[:5]
        ),
    ]


@contextlib.contextmanager
def company(
    folder: Path, pace: Pace, *, instances: int = 2, is_fenced: bool = True, has_redis: bool = True
) -> Iterator[Company]:
    """Have instances that stand for the role. A failing block carries their output."""
    with contextlib.ExitStack() as closing:
        redis = closing.enter_context(running_redis()) if has_redis else None
        postgres = closing.enter_context(running_server(**QUICK_SERVER))
        name = f"leaders_{next(_databases)}"
        on_postgres.upgrade(parse(postgres.create_database(name)))
        postgres.psql(TABLE, name)
        here = Company(pace, postgres, name, redis)
        for number in range(instances):
            here.members.append(_member(here, f"titan-{number}", folder, closing, is_fenced=is_fenced))
        try:
            for member in here.members:
                member.server.wait_ready()
            yield here
        except BaseException as error:
            for member in here.members:
                error.add_note(f"output of {member.name}:\n{member.server.logs()[-5000:]}")
            raise


def _member(here: Company, name: str, folder: Path, closing: contextlib.ExitStack, *, is_fenced: bool) -> Member:
    database = closing.enter_context(proxied(here.postgres.port))
    settings = {
        "DATABASE_URL": here.postgres.url(here.database).replace(f":{here.postgres.port}/", f":{database.port}/"),
        "TITAN_LEADERSHIP__TTL_S": str(here.pace.ttl_s),
        "TITAN_LEADERSHIP__RENEW_S": str(here.pace.renew_s),
        **({} if is_fenced else {"NUMBERING_UNFENCED": "1"}),
    }
    redis = closing.enter_context(proxied(here.redis.port if here.redis else here.postgres.port))
    if here.redis is not None:
        settings["REDIS_URL"] = f"redis://127.0.0.1:{redis.port}/0"
    member = Member(name, folder, redis, database, settings)
    closing.callback(member.end)
    return member
