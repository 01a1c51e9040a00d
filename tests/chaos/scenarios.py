"""The scenarios of `./dev chaos`, by name: what is installed, what happens to it, how often."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from tests.chaos import faults, redis_faults, rollout, rooted, told
from tests.chaos.alarms import ALARMS
from tests.chaos.company import GUIDE, SUB_SECOND
from tests.chaos.controls import CONTROLS, Control, missed
from tests.chaos.installation import Installation, installed
from tests.chaos.leader_faults import HITS
from tests.chaos.led import Led, Unfenced
from tests.chaos.redis_rigs import with_cluster, with_redis, with_sentinels
from tests.chaos.rigs import named, pair, plain, routed, small_data, small_log
from tests.chaos.round import FULL, Fault, Report, play
from tests.support import haproxy, nginx
from tests.support.balancer import Balancing
from tests.support.postgres import running_server
from tests.support.traffic import Sent

R = TypeVar("R")

Keep = Callable[[Report, Installation | None], None]
"""Called with each round's report while what it is about still stands."""


class Scenario(Protocol):
    """Something that can be played any number of times."""

    @property
    def title(self) -> str:
        """In plain words."""

    @property
    def needs(self) -> str:
        """What the machine must allow, as `rigs.missing` knows it; empty: nothing special."""

    def play(self, folder: Path, seeds: Sequence[int], keep: Keep) -> None:
        """Play a round per seed, each on its own or all on one installation."""


@dataclass(frozen=True, slots=True)
class Faulty(Generic[R]):
    """Faults, in this order, under load; `lasts` says that the installation can take the next round as well."""

    title: str
    rig: Callable[[Path], AbstractContextManager[R]]
    installation: Callable[[R], Installation]
    faults: Callable[[R, random.Random], Sequence[Fault]]
    lasts: bool = True
    needs: str = ""

    def play(self, folder: Path, seeds: Sequence[int], keep: Keep) -> None:
        for some in [seeds] if self.lasts else [[seed] for seed in seeds]:
            with self.rig(folder) as rig:
                here = self.installation(rig)
                for seed in some:
                    for fault in self.faults(rig, random.Random(seed)):
                        report = play(here, fault, FULL, seed=seed)
                        keep(report, here)


@dataclass(frozen=True, slots=True)
class Rollout:
    """Programs, and perhaps the schema, are replaced under load behind a balancer."""

    title: str
    work: Callable[[Installation, Sent], None]
    balancing: Balancing = nginx.balancing
    needs: str = ""

    def play(self, folder: Path, seeds: Sequence[int], keep: Keep) -> None:
        for seed in seeds:
            with running_server() as server, installed(server, folder, settings=rollout.POOL) as here:
                with rollout.under_load(here, folder, self.balancing) as load:
                    self.work(here, load.sent)
                keep(rollout.report(self.title, seed, load, at_least=ENOUGH_REQUESTS), here)


@dataclass(frozen=True, slots=True)
class Proof:
    """A control: the round is good when its checkers find what is wrong, and only then."""

    control: Control
    needs: str = ""

    @property
    def title(self) -> str:
        return f"control: {self.control.title}"

    def play(self, folder: Path, seeds: Sequence[int], keep: Keep) -> None:
        seed = seeds[0]  # once is enough: what it proves does not depend on the phase
        with self.control.rig(folder) as here:
            report = play(here, self.control.fault(), FULL, seed=seed, distort=self.control.distort(seed))
            report.title = self.title
            report.findings = [f"not found: {expected}" for expected in missed(report, self.control)]
            report.lost = []
            keep(report, here)


def _alone(rig: Installation) -> Installation:
    return rig


def _one(fault: Callable[[], Fault], *, server: Mapping[str, str] | None = None) -> Faulty[Installation]:
    rig = partial(plain, server_settings=server)
    return Faulty(fault().title, rig, _alone, lambda _rig, _rng: [fault()])


_ANY = (
    faults.Killed,
    faults.Frozen,
    faults.Restarted,
    faults.SessionsEnded,
    faults.CrowdedOut,
    faults.TableLocked,
    faults.InstanceKilled,
    faults.InstanceFrozen,
)

RESTARTS = 10
ENOUGH_REQUESTS = 20_000
REQUESTS = 21_000

SCENARIOS: Mapping[str, Scenario] = {
    "killed": _one(faults.Killed, server={"fsync": "on", "full_page_writes": "on"}),
    "frozen": _one(faults.Frozen),
    "restarted": _one(faults.Restarted),
    "sessions": _one(faults.SessionsEnded),
    "crowded": _one(faults.Crowded),
    "crowded-out": _one(faults.CrowdedOut),
    "pool-crowded-out": _one(faults.PoolCrowdedOut),
    "locked": _one(faults.TableLocked),
    "instance-killed": _one(faults.InstanceKilled),
    "instance-frozen": _one(faults.InstanceFrozen),
    "standby-sync": Faulty(
        "synchronous standby away, then promoted",
        partial(pair, synchronous=True),
        lambda rig: rig.installation,
        lambda rig, _: [faults.StandbyAway(rig.standby), faults.Promoted(rig.standby)],
        lasts=False,
    ),
    "standby-async": Faulty(
        faults.PromotedLate.title,
        partial(pair, synchronous=False),
        lambda rig: rig.installation,
        lambda rig, _: [faults.PromotedLate(rig.standby)],
        lasts=False,
    ),
    "name-moved": Faulty(
        rooted.NameMoved.title,
        named,
        lambda rig: rig.installation,
        lambda rig, _: [rooted.NameMoved(rig)],
        lasts=False,
        needs="namespace",
    ),
    "switched-over": Faulty(
        rooted.SwitchedOver.title,
        named,
        lambda rig: rig.installation,
        lambda rig, _: [rooted.SwitchedOver(rig)],
        lasts=False,
        needs="namespace",
    ),
    "network": Faulty(
        "network black-holed, both ways and answers only",
        routed,
        lambda rig: rig.installation,
        lambda rig, _: [rooted.LinkDown(rig.network), rooted.RepliesLost(rig.network)],
        needs="network",
    ),
    "disk-data": Faulty(
        rooted.DataDiskFull.title,
        small_data,
        lambda rig: rig.installation,
        lambda rig, _: [rooted.DataDiskFull(rig.disk)],
        needs="mount",
    ),
    "disk-log": Faulty(
        rooted.LogDiskFull.title,
        small_log,
        lambda rig: rig.installation,
        lambda rig, _: [rooted.LogDiskFull(rig.disk)],
        needs="mount",
    ),
    "redis": Faulty(
        "Redis killed, frozen, flushed, full, evicting, misused, away together with PostgreSQL",
        with_redis,
        lambda rig: rig.installation,
        lambda rig, rng: [
            redis_faults.RedisKilled(rig.redis),
            redis_faults.RedisFrozen(rig.redis),
            redis_faults.RedisFlushed(rig.redis),
            redis_faults.RedisFull(rig.redis),
            redis_faults.RedisEvicting(rig.redis),
            redis_faults.RedisMistaken(rig.redis),
            redis_faults.BothAway(rig.redis, redis_first=rng.random() < 0.5),
        ],
    ),
    "redis-sentinel": Faulty(
        redis_faults.SentinelsFailOver.title,
        with_sentinels,
        lambda rig: rig.installation,
        lambda rig, _: [redis_faults.SentinelsFailOver(rig.redis), redis_faults.SentinelsFailOverToNothing(rig.redis)],
        lasts=False,
    ),
    "redis-cluster": Faulty(
        redis_faults.ClusterNodeLost.title,
        with_cluster,
        lambda rig: rig.installation,
        lambda rig, _: [redis_faults.ClusterSlotsMoved(rig.redis), redis_faults.ClusterNodeLost(rig.redis)],
        lasts=False,
    ),
    "events": told.Told(),
    **{f"alerts-{name}": alarm for name, alarm in ALARMS.items()},
    "any": Faulty(
        "any of these, one after the other", plain, _alone, lambda _, rng: [rng.choice(_ANY)() for _ in range(3)]
    ),
    **{
        name: Rollout(
            f"{RESTARTS} restarts in turn behind {balancer}",
            lambda on, sent: rollout.restart_in_turn(on, sent, restarts=RESTARTS, requests=REQUESTS),
            balancing,
        )
        for name, balancer, balancing in (
            ("rolling-restart", "nginx", nginx.balancing),
            ("rolling-restart-haproxy", "HAProxy", haproxy.balancing),
        )
    },
    "migration": Rollout(
        "schema and program replaced and taken back",
        lambda on, sent: rollout.roll_out_and_back(on, sent, requests=REQUESTS),
    ),
    **{f"leader-{name}": Led(name, GUIDE) for name in HITS},
    **{f"quick-leader-{name}": Led(name, SUB_SECOND) for name in HITS},
    **{
        f"leader-in-postgres-{name}": Led(name, SUB_SECOND, has_redis=False)
        for name, hit in HITS.items()
        if not hit.needs_redis
    },
    "control-leader": Unfenced(SUB_SECOND),
    **{f"control-{name}": Proof(control) for name, control in CONTROLS.items()},
}
