"""One round: load, a fault in the middle of it, recovery without help, and everything that must hold throughout.

    report = play(installation, Killed(), QUICK, seed=1)
    assert report.findings == []

What must hold in every round, whatever the fault (a `Fault` says where it differs):

* Nothing acknowledged is lost, and the answers of both instances have an order that explains them all.
* A request is answered within 2 s: by what there is, or by 503 (507 where room is short) with `Retry-After`.
* Readiness is 503 within 2 s and names the database; it is 200 within 3 s after the database accepts again.
* The log says the reason in the driver's words.
* No process ended, no supervisor restarted anything, no connection is held that nobody uses.
* Before the fault the clients were served at least 100 times a second, else the round proves nothing.

Times are measured where a client measures them, on a machine that has other things to do as well. How long that lets
somebody wait who only wants to run is measured at the same time, stated in the report and allowed on top, up to 0.5 s.
"""

import contextlib
import math
import random
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial

from tests.chaos.installation import Installation
from tests.chaos.watch import Metronome, Watcher, watching
from tests.support.clients import Request
from tests.support.history import ENOUGH_PER_S, History, read_all, recording

ANSWER_S = 2.0
UNREADY_S = 2.0
READY_S = 3.0
MOST_LAG_S = 0.5
RATE_OVER_S = 0.6


class Readiness(Enum):
    """What a fault does to it."""

    LOST = auto()  # the database is away: 503
    KEPT = auto()  # 200 (perhaps degraded) all the time
    EITHER = auto()  # depends on the moment


class Fault(ABC):
    """Something that happens to an installation, and how it ends."""

    title: str
    """In plain words, as the table shows it."""
    readiness = Readiness.LOST
    says = ""
    """A regular expression for what the log must say; empty: nothing of its own."""
    may_lose = False
    """Acknowledged writes are known to be lost, for the reason that the docs give."""
    held_s = 0.0
    """How long it lasts at least, to show what it has to show."""
    victim: int | None = None
    """The instance that is itself hit, by its number: it cannot answer, and its process may change."""

    @abstractmethod
    def begin(self, on: Installation) -> None:
        """Let it happen."""

    @abstractmethod
    def end(self, on: Installation) -> None:
        """Undo it; from its return on the database accepts again."""

    def findings(self, report: "Report") -> list[str]:
        """Return what was not as this fault alone promises."""
        return []


@dataclass(frozen=True, slots=True)
class Profile:
    """How long a round takes. The moment of the fault is drawn from `phase_s`, its length from `hold_s`."""

    phase_s: tuple[float, float]
    hold_s: tuple[float, float]
    after_s: float
    clients: int = 8
    keys: int = 12
    pause_s: float = 0.005
    warm_within_s: float = 10.0


QUICK = Profile(phase_s=(0.0, 0.3), hold_s=(0.3, 0.5), after_s=0.5)
FULL = Profile(phase_s=(0.0, 4.0), hold_s=(2.0, 12.0), after_s=3.0, clients=10, keys=20)


@dataclass(slots=True)
class Report:
    """What a round showed. It is good when `findings` is empty."""

    title: str
    seed: int
    rate: float = 0.0
    """Requests served a second before the fault."""
    requests: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    """Answers 503 and 507 while the fault lasted."""
    slowest_s: float = 0.0
    """The slowest answer while the fault lasted."""
    unready_s: float | None = None
    ready_s: float = math.inf
    lag_s: float = 0.0
    """How long this machine made its programs wait, at worst."""
    log: str = ""
    """What the instances logged from the fault on."""
    findings: list[str] = field(default_factory=list)

    def exceeds(self, took_s: float, promised_s: float) -> bool:
        """Say whether a promise was broken by more than what this machine may have added."""
        return took_s > promised_s + min(self.lag_s, MOST_LAG_S)


Distort = Callable[[Request], Request]


def play(
    on: Installation,
    fault: Fault,
    profile: Profile,
    *,
    seed: int,
    distort: Distort = lambda request: request,
) -> Report:
    """Play one round; the installation is whole again afterwards, or the report says that it is not."""
    report, rng = Report(fault.title, seed), random.Random(seed)
    pids, restarts = [instance.pid for instance in on.instances], on.restarts()
    logged = [len(instance.logs()) for instance in on.instances]
    with (
        Metronome() as metronome,
        watching([instance.port for instance in on.instances]) as watchers,
        _recording(on, profile, seed, distort) as history,
    ):
        _warm_up(history, profile.warm_within_s)
        time.sleep(rng.uniform(*profile.phase_s))  # random: the clients are anywhere in what they do
        begun_s = time.monotonic()
        report.rate = history.served_per_s(begun_s - RATE_OVER_S, begun_s)
        fault.begin(on)
        _hold(watchers, fault, begun_s, begun_s + max(fault.held_s, rng.uniform(*profile.hold_s)))
        fault.end(on)
        ended_s = time.monotonic()
        report.findings += _wait_until_served(watchers, history, ended_s)
        time.sleep(profile.after_s)
    report.lag_s = metronome.worst_s
    report.log = "".join(instance.logs()[before:] for instance, before in zip(on.instances, logged, strict=True))
    read_all(history)
    _judge_times(report, fault, watchers, begun_s, ended_s)
    _judge_answers(report, fault, history, begun_s, ended_s)
    _judge_data(report, fault, on, history)
    if fault.says and not re.search(fault.says, report.log):
        report.findings.append(f"the log does not say {fault.says!r}")
    _judge_processes(report, fault, on, pids, restarts)
    report.findings += fault.findings(report)
    return report


def _recording(
    on: Installation, profile: Profile, seed: int, distort: Distort
) -> contextlib.AbstractContextManager[History]:
    return recording(
        on.urls, seed=seed, clients=profile.clients, keys=profile.keys, pause_s=profile.pause_s, distort=distort
    )


def _warm_up(history: History, within_s: float) -> None:
    """Wait until enough is served a second; where that does not come, the report will say so."""
    deadline = time.monotonic() + within_s
    history.wait_for(5 * len(history.urls), within_s=within_s)
    while (now := time.monotonic()) < deadline and history.served_per_s(now - RATE_OVER_S, now) < ENOUGH_PER_S:
        time.sleep(0.05)


def _hold(watchers: list[Watcher], fault: Fault, begun_s: float, until_s: float) -> None:
    """Let the fault last until it has shown: all instances are unready, or had twice the time to become so."""
    if fault.readiness is Readiness.LOST:
        give_up_s = begun_s + 2 * UNREADY_S
        while time.monotonic() < give_up_s and not all(watcher.first(503, begun_s) for watcher in watchers):
            time.sleep(0.01)
    time.sleep(max(0.0, until_s - time.monotonic()))


def _wait_until_served(watchers: list[Watcher], history: History, ended_s: float) -> list[str]:
    """Return once every instance is ready and serves again, or what of that did not come."""
    try:
        for watcher in watchers:
            watcher.wait_for(200, ended_s)
        for url in history.urls:
            history.wait_for(5, where=partial(_is_served_at, url))
    except AssertionError as missing:
        return [f"no recovery: {missing}"]
    return []


def _is_served_at(url: str, request: Request) -> bool:
    return request.is_served and request.instance == url


def _judge_times(report: Report, fault: Fault, watchers: list[Watcher], begun_s: float, ended_s: float) -> None:
    unready = [watcher.first(503, begun_s) for watcher in watchers]
    ready = [watcher.first(200, ended_s) for watcher in watchers]
    lasted_s = ended_s - begun_s
    down = [seen for seen in unready if seen is not None and seen.asked_s <= ended_s]
    if down:
        report.unready_s = max(seen.asked_s - begun_s for seen in down)
    report.ready_s = max(math.inf if seen is None else seen.answered_s - ended_s for seen in ready)
    if report.exceeds(report.ready_s, READY_S):
        report.findings.append(f"ready {report.ready_s:.2f} s after the database was back")
    match fault.readiness:
        case Readiness.LOST if len(down) < len(watchers):
            report.findings.append(f"readiness was never 503 at all instances in {lasted_s:.2f} s")
        case Readiness.LOST if report.unready_s is not None and report.exceeds(report.unready_s, UNREADY_S):
            report.findings.append(f"readiness was 503 only after {report.unready_s:.2f} s")
        case Readiness.KEPT if down:
            report.findings.append(f"readiness was 503: {down[0].body}")
    unnamed = [seen.body for seen in down if seen.database.get("status") != "down" or not seen.database.get("detail")]
    if unnamed:
        report.findings.append(f"readiness does not name the database and the reason: {unnamed[0]}")


def _judge_answers(report: Report, fault: Fault, history: History, begun_s: float, ended_s: float) -> None:
    report.requests = len(history.requests)
    if report.rate < ENOUGH_PER_S:
        report.findings.append(f"only {report.rate:.0f} requests a second before the fault, the round proves nothing")
    victim = None if fault.victim is None else history.urls[fault.victim]
    during = [r for r in history.between(begun_s) if r.instance != victim or r.begun_s > ended_s]
    report.slowest_s = max((request.took_s for request in during), default=0.0)
    report.refused = sum(request.status in {503, 507} for request in history.between(begun_s, ended_s))
    if report.exceeds(report.slowest_s, ANSWER_S):
        slow = max(during, key=lambda request: request.took_s)
        report.findings.append(f"{slow.kind} took {slow.took_s:.2f} s and got {slow.status}")
    silent = [request for request in during if request.status is None]
    if silent:
        report.findings.append(
            f"{len(silent)} requests without an answer, {silent[0].kind} after {silent[0].took_s:.2f} s"
        )


def _judge_data(report: Report, fault: Fault, on: Installation, history: History) -> None:
    report.acknowledged = history.acknowledged()
    report.lost = sorted(history.created() - on.documents())
    if fault.may_lose:
        return
    if report.lost:
        report.findings.append(f"{len(report.lost)} acknowledged documents are lost, such as {report.lost[0]}")
    report.findings += history.findings()


def _judge_processes(report: Report, fault: Fault, on: Installation, pids: list[int], restarts: int) -> None:
    changed = {number for number, pid in enumerate(pids) if on.instances[number].pid != pid}
    if changed - {fault.victim} or any(instance.exit_code is not None for instance in on.instances):
        report.findings.append("a process of an instance has ended")
        return
    if (now := on.restarts()) != restarts:
        report.findings.append(f"supervisors restarted something {now - restarts} times")
    if leak := on.leaks():
        report.findings.append(leak)
