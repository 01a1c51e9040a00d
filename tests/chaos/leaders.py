"""Leadership broken on purpose: instances that count, each behind proxies of its own, over PostgreSQL and Redis.

Their leader writes one number after the other (`tests.support.numbering`). Whatever happens to leaders, leases and
networks, in the end every number from 1 on must be there once, and none may have been written under a term that was
over. How long it took until somebody led again is measured where an operator sees it, in `titan_leader_status`.
"""

import base64
import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.chaos.rigs import QUICK_SERVER
from tests.chaos.round import MOST_LAG_S
from tests.chaos.watch import Metronome
from tests.support.leaders import leads, wait_for_leader
from tests.support.numbering import HELD, PROGRAM, TABLE
from tests.support.postgres import Postgres, running_server
from tests.support.postgres_programs import wait_for_state
from tests.support.proxy import Proxy, proxied
from tests.support.redis import RedisServer, running_redis
from tests.support.server import Server
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
HANDED_OVER_S = 2.0
FROZEN_WITHIN_S = 3.5
"""How long one that froze in a transaction may hold up others: the server's time-out for such, and half a second."""


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


# --- what happens; each returns how long nobody led, None where that is not the question


def killed(here: Company) -> float:
    """The leader is killed (-9) and started again later."""
    leader = here.leader
    leader.end()
    took_s = here.taken_over(leader)
    leader.start().wait_ready()
    return took_s


def drained(here: Company) -> float:
    """The leader is stopped in order and started again later."""
    leader = here.leader
    leader.server.terminate()
    took_s = here.taken_over(leader)
    assert leader.server.wait() == 0
    leader.start().wait_ready()
    return took_s


def frozen(here: Company) -> float:
    """The leader is stopped (SIGSTOP) wherever it is, for longer than its lease, and goes on."""
    leader = here.leader
    leader.freeze()
    took_s = here.taken_over(leader)
    here.wait_for_work()
    leader.thaw()
    return took_s


def frozen_before_its_effect(here: Company) -> float:
    """It stops after it read what is to be done and before it does it, and does it when another one has."""
    leader = here.leader
    leader.stop_itself("before")
    took_s = here.taken_over(leader)
    here.wait_for_work()
    leader.thaw()
    return took_s


def frozen_within_its_effect(here: Company) -> float:
    """It stops in the middle of an effect's transaction, with a document locked that others write."""
    leader = here.leader
    other = here.others(leader)[0].server
    assert _put(other, HELD) in (201, 204)
    leader.stop_itself("within")
    began_s = time.monotonic()
    answers = [_put(other, HELD)]
    while not 200 <= answers[-1] < 300 and time.monotonic() < began_s + 15:
        answers.append(_put(other, HELD))
    waited_s = time.monotonic() - began_s
    took_s = here.taken_over(leader)
    here.wait_for_work()
    leader.thaw()
    assert waited_s <= FROZEN_WITHIN_S, f"another writer waited {waited_s:.2f} s: {answers}"
    return took_s


def _cut(here: Company, *ways: str) -> float:
    leader = here.leader
    for way in ways:
        getattr(leader, way).cut()
    took_s = here.taken_over(leader)
    wait_until(lambda: not leads(leader.server), within_s=here.pace.ttl_s + 5, what="the end of the cut leader's term")
    here.wait_for_work()
    for way in ways:
        getattr(leader, way).heal()
    return took_s


def cut_off_from_redis(here: Company) -> float:
    """The leader does not reach Redis any more, and everything else."""
    return _cut(here, "redis")


def cut_off_from_postgres(here: Company) -> float:
    """The leader does not reach PostgreSQL any more, and Redis still."""
    return _cut(here, "database")


def cut_off_from_both(here: Company) -> float:
    """The leader reaches neither."""
    return _cut(here, "redis", "database")


def _no_leader(here: Company) -> None:
    servers = [member.server for member in here.members]
    wait_until(lambda: not any(map(leads, servers)), within_s=here.pace.ttl_s + 5, what="an end of every term")


def redis_killed(here: Company) -> float:
    """Redis is killed (-9), stays away for longer than the lease, and comes back empty."""
    assert here.redis is not None
    assert here.leader
    here.redis.kill()
    _no_leader(here)
    paused = here.written()
    time.sleep(0.3)
    assert here.written() == paused, "work goes on without a lease"
    here.redis.start()
    return wait_for_leader([member.server for member in here.members], within_s=10)[1]


def redis_frozen(here: Company) -> float:
    """Redis is stopped (SIGSTOP) for longer than the lease, and goes on."""
    assert here.redis is not None
    assert here.leader
    here.redis.freeze()
    try:
        _no_leader(here)
    finally:
        here.redis.thaw()
    return wait_for_leader([member.server for member in here.members], within_s=10)[1]


def redis_flushed(here: Company) -> None:
    """Somebody deletes every key."""
    assert here.redis is not None
    assert here.leader
    here.redis.flushall()
    here.wait_for_work()


def failed_over_without_the_key(here: Company) -> float:
    """The others hear a new primary that never heard of the key, the leader still the old one: two leaders."""
    leader = here.leader
    with running_redis() as promoted:
        for member in here.others(leader):
            member.redis.aim(promoted.port)
        took_s = here.taken_over(leader)
        here.wait_for_work()
        leader.redis.aim(promoted.port)
        here.wait_for_work()
        assert here.redis is not None
        here.redis.flushall()  # whoever comes back to the old one finds it as a new replica would be
        for member in here.members:
            member.redis.aim(here.redis.port)
        here.wait_for_work()
    return took_s


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that happens, and how soon somebody must lead again."""

    do: Callable[[Company], float | None]
    within_s: Callable[[Pace], float]
    needs_redis: bool = False

    @property
    def title(self) -> str:
        """In plain words."""
        return (self.do.__doc__ or "").rstrip(".")


def _as_a_crash(pace: Pace) -> float:
    return pace.crash_s


def _and_a_transaction(pace: Pace) -> float:
    return pace.crash_s + FROZEN_WITHIN_S


def _handed_over(_pace: Pace) -> float:
    return HANDED_OVER_S


def _cut_off(pace: Pace) -> float:
    # An instance finds its database gone within 1.5 s, then lets go of the lease.
    return pace.crash_s + FROZEN_WITHIN_S


def _split(_pace: Pace) -> float:
    # Those who take over may have been deposed a moment ago, by the round before, and stand back still.
    return 2 * HANDED_OVER_S


def _back(_pace: Pace) -> float:
    return 2.0 + HANDED_OVER_S  # Redis is found back within 2 s


HITS = {
    "killed": Hit(killed, _as_a_crash),
    "drained": Hit(drained, _handed_over),
    "frozen": Hit(frozen, _and_a_transaction),
    "frozen-before": Hit(frozen_before_its_effect, _as_a_crash),
    "frozen-within": Hit(frozen_within_its_effect, _and_a_transaction),
    "cut-redis": Hit(cut_off_from_redis, _as_a_crash, needs_redis=True),
    "cut-postgres": Hit(cut_off_from_postgres, _cut_off),
    "cut-both": Hit(cut_off_from_both, _cut_off, needs_redis=True),
    "redis-killed": Hit(redis_killed, _back, needs_redis=True),
    "redis-frozen": Hit(redis_frozen, _back, needs_redis=True),
    "redis-flushed": Hit(redis_flushed, _handed_over, needs_redis=True),
    "failed-over": Hit(failed_over_without_the_key, _split, needs_redis=True),
}


@dataclass(slots=True)
class Played:
    """What a hit came to."""

    took_s: float | None
    effects: int
    findings: list[str]


def play_hit(here: Company, hit: Hit) -> Played:
    """Let it happen once in the middle of work; the company is whole again afterwards."""
    here.wait_for_work()
    before = here.written()
    found: list[str] = []
    took_s: float | None = None
    with Metronome() as metronome:
        try:
            took_s = hit.do(here)
            here.wait_for_work()
            for member in here.members:
                member.server.wait_ready()
        except AssertionError as error:
            found.append(f"{hit.title}: {error}")
    if took_s is not None and took_s > hit.within_s(here.pace) + min(metronome.worst_s, MOST_LAG_S):
        found.append(f"{hit.title}: nobody led for {took_s:.2f} s")
    return Played(took_s, here.written() - before, [*found, *here.findings()])


def _put(server: Server, document_id: str) -> int:
    """Write a submodel; return the status, 0 where none came."""
    key = base64.urlsafe_b64encode(document_id.encode()).decode().rstrip("=")
    body = {"modelType": "Submodel", "id": document_id}
    try:
        return httpx.put(f"{server.url}/submodels/{key}", json=body, timeout=5).status_code
    except httpx.TransportError:
        return 0
