"""Every check must be able to fail: here is, for each, something that it has to find.

A control plays a round on something that is known to be wrong and says what a good checker finds.
"""

import os
import random
import re
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from tests.chaos import faults, sabotaged
from tests.chaos.installation import Installation
from tests.chaos.rigs import plain
from tests.chaos.round import Fault, Profile, Report, play
from tests.support.clients import Kind, Request
from tests.support.linearizable import Get

Rig = Callable[[Path], AbstractContextManager[Installation]]


@dataclass(frozen=True, slots=True)
class Control:
    """What is wrong, what happens to it, and the regular expressions of what must be found."""

    title: str
    rig: Rig
    fault: Callable[[], Fault]
    finds: tuple[str, ...]
    distort: Callable[[int], Callable[[Request], Request]] = field(default=lambda _: _unchanged)


def _unchanged(request: Request) -> Request:
    return request


def missed(report: Report, control: Control) -> list[str]:
    """Return what the checkers should have found and did not."""
    return [
        expected for expected in control.finds if not any(re.search(expected, finding) for finding in report.findings)
    ]


def run(control: Control, folder: Path, profile: Profile, *, seed: int) -> Report:
    """Play a control's round."""
    with control.rig(folder) as here:
        return play(here, control.fault(), profile, seed=seed, distort=control.distort(seed))


def _stale(seed: int) -> Callable[[Request], Request]:
    """Have one read in twenty show what was there before, as a cache that is not told of changes would."""
    rng, before = random.Random(seed), dict[str, tuple[str, str]]()

    def distort(request: Request) -> Request:
        if request.kind is not Kind.GET or not isinstance(request.action, Get) or request.action.found is None:
            return request
        older, newer = before.get(request.key, ("", ""))
        if request.action.found != newer:
            before[request.key] = (newer, request.action.found)
        if older and request.action.found == newer and rng.random() < 0.2:
            return replace(request, action=Get(older))
        return request

    return distort


def _sabotaged(*ways: str, **settings: str) -> Rig:
    return partial(plain, settings={"SABOTAGE": ",".join(ways), **settings}, program=sabotaged.PROGRAM)


_SLOW = {"TITAN_DATABASE__REQUEST_BUDGET_S": "3.5", "TITAN_DATABASE__STATEMENT_TIMEOUT_S": "3.3"}


class _KilledUnsynced(faults.Killed):
    """Killed while the process that writes the log in the background, some milliseconds late, did not come to it."""

    behind_s = 0.3

    def begin(self, on: Installation) -> None:
        pid = on.postgres.psql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
        os.kill(int(pid), signal.SIGSTOP)
        time.sleep(self.behind_s)
        super().begin(on)


CONTROLS: Mapping[str, Control] = {
    "early": Control(
        "acknowledged before COMMIT, connections leaked",
        _sabotaged("early", "leak"),
        faults.Killed,
        ("acknowledged documents are lost", "violation", r"\d+ sessions"),
    ),
    "unsynced": Control(
        "synchronous_commit = off, killed",
        partial(plain, server_settings={"synchronous_commit": "off", "wal_buffers": "16MB"}),
        _KilledUnsynced,
        ("acknowledged documents are lost", "violation"),
    ),
    "slow": Control(
        "a budget of 3.5 s, a look every 30 s",
        _sabotaged("blind", **_SLOW),
        faults.Frozen,
        (r"took \d", "readiness was"),
    ),
    "stale": Control(
        "stale reads, a crash where the database is away",
        _sabotaged("fragile"),
        faults.Killed,
        ("violation", "restarted something|process of an instance has ended"),
        _stale,
    ),
}
