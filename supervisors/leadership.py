"""The roles of an instance: who stands for each, and what is done in a term; made once, before anything runs."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from supervisors.actors.lease import LeaseActor
from supervisors.kernel import Supervisor
from supervisors.tasks import Tasks
from titan.coordination.candidate import Candidate
from titan.coordination.election import Election
from titan.coordination.roles import ROLES
from titan.coordination.standing import Standing
from titan.coordination.timings import Timings
from titan.store.contract import Store
from titan.telemetry.log import Log


@dataclass(frozen=True, slots=True)
class Role:
    """One role on this instance."""

    name: str
    standing: Standing
    lease: LeaseActor
    tasks: Supervisor | None
    """What a term does; None where there is nothing."""


@dataclass(frozen=True, slots=True)
class Stand:
    """With what an instance stands for its roles."""

    election: Election
    store: Store
    timings: Timings
    instance_id: str
    unfit_because: Callable[[], str | None]
    """Why this instance should not lead now; None where it may."""


def make_roles(stand: Stand, tasks: Tasks, log: Log) -> tuple[Role, ...]:
    """Make every role; nothing runs yet."""
    holder = f"{stand.instance_id}/{secrets.token_hex(8)}"  # another one at the next start
    return tuple(_role(name, holder, stand, tasks, log) for name in ROLES)


def _role(name: str, holder: str, stand: Stand, tasks: Tasks, log: Log) -> Role:
    standing = Standing(name)
    candidate = Candidate(
        stand.election,
        name,
        holder,
        stand.timings,
        unfit_because=stand.unfit_because,
        tell=lambda what: log.warning("election", role=name, news=what),
    )
    lease = LeaseActor(candidate, standing, stand.store, log)
    return Role(name, standing, lease, tasks.of(name, lease))
