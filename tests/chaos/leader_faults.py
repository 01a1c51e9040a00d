"""What may happen to a leader, its lease and its ways to the servers, and how soon somebody must lead again.

Each returns how long nobody led, None where that is not the question; the company is whole again afterwards.
"""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from tests.chaos.company import Company, Pace
from tests.chaos.round import MOST_LAG_S
from tests.chaos.watch import Metronome
from tests.support.leaders import ROLE, leads, wait_for_leader
from tests.support.numbering import HELD
from tests.support.redis import running_redis
from tests.support.server import Server
from tests.support.waiting import wait_until

HANDED_OVER_S = 2.0
ENDED = "terminating connection due to administrator command"
FROZEN_WITHIN_S = 3.5
"""How long one that froze in a transaction may hold up others: the server's time-out for such, and half a second."""


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


def released(here: Company) -> float:
    """An operator has the leader hand over (`titan leader release`); told is how long nobody led."""
    leader = here.leader
    with leader.command("leader", "release", ROLE) as command:
        wait_until(lambda: not leads(leader.server), within_s=30, what="the end of the term")
        took_s = here.taken_over(leader)
        assert command.wait(10) == 0
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
    return _frozen_with_a_lock(here, "within")


def frozen_while_sending(here: Company) -> float:
    """It stops there between two messages of one statement, where no time-out of PostgreSQL bites."""
    before = here.postgres.log().count(ENDED)
    took_s = _frozen_with_a_lock(here, "sending")
    wait_until(lambda: here.postgres.log().count(ENDED) > before, what="a session that an instance ended")
    return took_s


def _frozen_with_a_lock(here: Company, where: str) -> float:
    leader = here.leader
    other = here.others(leader)[0].server
    assert _put(other, HELD) in (201, 204)
    asked_s = time.monotonic()
    leader.stop_itself(where)
    with Metronome() as metronome:
        began_s = time.monotonic()
        answers = [_put(other, HELD)]
        while not 200 <= answers[-1] < 300 and time.monotonic() < began_s + 15:
            answers.append(_put(other, HELD))
        waited_s, held_s = time.monotonic() - began_s, time.monotonic() - asked_s
    took_s = here.taken_over(leader)
    here.wait_for_work()
    leader.thaw()
    lag_s = min(metronome.worst_s, MOST_LAG_S)
    assert waited_s <= FROZEN_WITHIN_S + lag_s, f"another writer waited {waited_s:.2f} s: {answers}, lag {lag_s:.2f} s"
    assert held_s > 1, f"a document was held for {held_s:.2f} s only: the round proves nothing"
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
    "released": Hit(released, _handed_over),
    "frozen": Hit(frozen, _and_a_transaction),
    "frozen-before": Hit(frozen_before_its_effect, _as_a_crash),
    "frozen-within": Hit(frozen_within_its_effect, _and_a_transaction),
    "frozen-sending": Hit(frozen_while_sending, _and_a_transaction),
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
