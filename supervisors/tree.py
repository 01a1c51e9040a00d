"""The whole tree as data, in start order: each child with its restart type and one line of why.

It is stopped in reverse order: leadership is handed over, the frontend drains, then the stores finish what was sent,
telemetry goes last.
"""

from typing import assert_never

from supervisors.actors.change_feed import ChangeFeedActor
from supervisors.actors.lease import SHUTDOWN_S as LEASE_SHUTDOWN_S
from supervisors.backends import Backend, Embedded, Postgres
from supervisors.instance import HTTP_SHUTDOWN_S, Instance
from supervisors.kernel import Backoff, Child, Intensity, Leash, Restart, Strategy, Supervisor
from supervisors.leadership import Role

STORE_SHUTDOWN_S = 5.0
TELEMETRY_SHUTDOWN_S = 1.0
EVENTS_SHUTDOWN_S = 1.0
TERM_BACKOFF = Backoff(base_s=0.05, cap_s=0.2)
"""Between two terms of one instance: as short as others' jitter, so that it is late for none."""


def tree(instance: Instance) -> Supervisor:
    """Return the tree of an instance."""
    http = instance.settings.http
    return Supervisor(
        name="titan",
        strategy=Strategy.ONE_FOR_ONE,
        intensity=Intensity(max_restarts=3, within_s=60.0),
        why="the process: what its parts cannot mend by restarting ends it with exit code 3",
        children=(
            Child(
                name="telemetry",
                run=instance.telemetry.run,
                restart=Restart.PERMANENT,
                shutdown_s=TELEMETRY_SHUTDOWN_S,
                why="heartbeat and systemd's watchdog; first, so that everything else is watched for its whole life",
            ),
            Supervisor(
                name="stores",
                strategy=Strategy.REST_FOR_ONE,
                why="what holds data; a later child builds on the earlier ones",
                children=(
                    *_stores(instance.backend),
                    Child(
                        name="task_board",
                        run=instance.task_board.run,
                        restart=Restart.PERMANENT,
                        shutdown_s=STORE_SHUTDOWN_S,
                        why="reads what the leader noted and counted, and who asked for what, on every instance",
                    ),
                ),
            ),
            Supervisor(
                name="frontend",
                strategy=Strategy.ONE_FOR_ONE,
                why="what clients see; outlives every restart of the stores and answers 503 where it cannot serve",
                children=(
                    Child(
                        name="http",
                        run=instance.http.run,
                        restart=Restart.PERMANENT,
                        stop="drain",
                        shutdown_s=http.drain_delay_s + HTTP_SHUTDOWN_S + 1.0,
                        why="accepts connections, answers requests, drains when asked to stop",
                    ),
                    Child(
                        name="events",
                        run=instance.events.run,
                        restart=Restart.PERMANENT,
                        shutdown_s=EVENTS_SHUTDOWN_S,
                        why="hands changes to the clients that follow them; ends their streams when it stops",
                    ),
                ),
            ),
            Supervisor(
                name="leadership",
                strategy=Strategy.ONE_FOR_ONE,
                why="work that one instance at a time does; starts last and stops first, so that another takes over",
                children=tuple(map(role_of, instance.roles)),
            ),
        ),
    )


def role_of(role: Role) -> Supervisor:
    """Return the part of the tree that stands for a role."""
    return Supervisor(
        name=role.name,
        strategy=Strategy.REST_FOR_ONE,
        leash=Leash(),
        backoff=TERM_BACKOFF,
        why="a term at a time: all of it ends with the lease, and the next one begins anew",
        children=(
            Child(
                name="lease",
                run=role.lease.run,
                restart=Restart.PERMANENT,
                shutdown_s=LEASE_SHUTDOWN_S,
                why="stands by until it has won the lease, renews it, releases it after the work has stopped",
            ),
            *(() if role.tasks is None else (role.tasks,)),
        ),
    )


def _stores(backend: Backend) -> tuple[Child, ...]:
    match backend:
        case Embedded():
            return (
                Child(
                    name="sqlite_writer",
                    run=backend.sqlite_writer.run,
                    restart=Restart.PERMANENT,
                    shutdown_s=STORE_SHUTDOWN_S,
                    why="owns the one process that writes, so that no fsync and no lock is waited for on the loop",
                ),
                _change_feed(backend.change_feed, "asks what changed in the file, whoever changed it, for events"),
            )
        case Postgres():
            children = [
                Child(
                    name="island",
                    run=backend.island.run,
                    restart=Restart.PERMANENT,
                    shutdown_s=STORE_SHUTDOWN_S,
                    why="the one thread that runs asyncio, which the drivers speak",
                ),
                Child(
                    name="database",
                    run=backend.database.run,
                    restart=Restart.PERMANENT,
                    shutdown_s=STORE_SHUTDOWN_S,
                    why="keeps the connection to PostgreSQL; away is a state that it reports, never an exit",
                ),
            ]
            if backend.replica is not None:
                children.append(
                    Child(
                        name="replica",
                        run=backend.replica.run,
                        restart=Restart.PERMANENT,
                        shutdown_s=STORE_SHUTDOWN_S,
                        why="keeps the connection to a read replica and knows its lag; the primary stands in for it",
                    )
                )
            if backend.cache is not None:
                children.append(
                    Child(
                        name="cache",
                        run=backend.cache.run,
                        restart=Restart.PERMANENT,
                        shutdown_s=STORE_SHUTDOWN_S,
                        why="keeps the connection to Redis; the one prober that all its users wait for",
                    )
                )
            children.append(
                _change_feed(
                    backend.change_feed, "asks what changed anywhere, for events; caches are used only while it knows"
                )
            )
            return tuple(children)
    assert_never(backend)


def _change_feed(actor: ChangeFeedActor, why: str) -> Child:
    return Child(name="change_feed", run=actor.run, restart=Restart.PERMANENT, shutdown_s=STORE_SHUTDOWN_S, why=why)
