"""Databases with the current schema, and the whole store opened on them as the server does: island, actor, store."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from supervisors.actors.database import DatabaseActor
from supervisors.actors.island import IslandActor
from supervisors.actors.replica import ReplicaActor
from supervisors.kernel import ActorEvent, Backoff, Child, Strategy, Supervisor, open_tree
from tests.support.postgres import Postgres, make_server
from tests.support.waiting import until
from titan.island import Island
from titan.store.migrations import on_postgres
from titan.store.postgres.database import Database
from titan.store.postgres.limits import Limits
from titan.store.postgres.replica import Replica, make_replica
from titan.store.postgres.role import Primary
from titan.store.postgres.store import PostgresStore
from titan.store.postgres.url import REPLICA_TARGETS, parse
from titan.store.schema import Program, SchemaUnfit
from titan.telemetry.health import Check, Status

QUICK = Limits(
    pool_size=8,
    max_age_s=60,
    statement_s=0.8,
    probe_every_s=0.05,
    probe_s=0.6,
    queue_s=0.1,
)
"""The server's defaults, faster where something is waited for; a machine with others to serve must keep up."""

PATIENT = Limits(queue=10_000, queue_s=60, statement_s=60, recover_s=5, probe_s=10, connect_s=10)
"""For tests of what is done rather than how fast, on a machine that has others to serve."""

TEMPLATE = "titan_template"
_numbers = itertools.count()


@dataclass(slots=True)
class Opened:
    """A store with everything under it, and what was said of it."""

    store: PostgresStore
    island: Island
    database: Database
    check: Check
    events: list[ActorEvent] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    unfit: list[SchemaUnfit] = field(default_factory=list)
    its_replica: Replica | None = None
    replica_check: Check = field(default_factory=lambda: Check("replica"))

    @property
    def replica(self) -> Replica:
        """The replica, where one is configured."""
        assert self.its_replica is not None
        return self.its_replica

    async def wait(self, status: Status, *, within_s: float = 10.0) -> None:
        """Return once the check says so."""
        await until(lambda: self.check.result.status is status, within_s=within_s, what=f"database {status}")


def migrated_database(server: Postgres, name: str) -> None:
    """Make a database with the current schema."""
    on_postgres.upgrade(parse(server.create_database(name)))


@contextmanager
def fresh_database(server: Postgres) -> Iterator[str]:
    """A new database with the current schema on a server, by its name; dropped at the end."""
    name = f"titan_{next(_numbers)}"
    if not server.psql(f"SELECT 1 FROM pg_database WHERE datname = '{TEMPLATE}'"):
        migrated_database(server, TEMPLATE)
    server.create_database(name, template=TEMPLATE)
    yield name
    server.drop_database(name)


def assert_no_row_without_its_document(server: Postgres, database: str) -> None:
    """See that elements, terms and uses are those of a document: no constraint of the schema does (0001 says why)."""
    for table in ("titan_element", "titan_term", "titan_blob_use"):
        assert (
            server.psql(f"SELECT * FROM {table} WHERE n NOT IN (SELECT n FROM titan_document) LIMIT 1", database) == ""
        )


def assert_files_are_whole(server: Postgres, database: str) -> None:
    """See that what a document names is there, and that no chunk is missing or left over."""
    wrong = """
    SELECT 'named and not there', u.blob FROM titan_blob_use u LEFT JOIN titan_blob b ON b.n = u.blob
    WHERE b.state IS DISTINCT FROM 1
    UNION ALL
    SELECT 'not whole', b.n FROM titan_blob b LEFT JOIN titan_blob_chunk c ON c.blob = b.n
    WHERE b.state = 1 GROUP BY b.n HAVING b.size <> coalesce(sum(length(c.content)), 0)
      OR b.key NOT LIKE encode(sha256(coalesce(string_agg(c.content, '' ORDER BY c.number), '')), 'hex') || '-%'
    UNION ALL
    SELECT 'a chunk of nothing', c.blob FROM titan_blob_chunk c WHERE c.blob NOT IN (SELECT n FROM titan_blob)
    """
    assert server.psql(wrong, database) == ""


@contextmanager
def shared_server() -> Iterator[Postgres]:
    """A server for tests that leave it alive."""
    server = make_server()
    try:
        yield server.start()
    finally:
        server.remove()


@asynccontextmanager
async def opened(
    url: str,
    *,
    limits: Limits = QUICK,
    program: Program | None = None,
    observe_wait: Callable[[float], None] = lambda _: None,
    ready: bool = True,
    read_url: str = "",
    max_lag_s: float = 5.0,
) -> AsyncIterator[Opened]:
    """Open the store on a database under a real supervisor; with `ready`, once the database is up."""
    island = Island()
    replica = make_replica(island, parse(read_url, REPLICA_TARGETS), max_lag_s=max_lag_s) if read_url else None
    role = Primary(program, lag=None if replica is None else replica.lag)
    database = Database(parse(url), limits, role=role, observe_wait=observe_wait)
    lines: list[str] = []
    check = Check("database", on_change=lambda name, now: lines.append(f"{name} {now.status.value}: {now.detail}"))
    it = Opened(PostgresStore(island, database), island, database, check, lines=lines, its_replica=replica)
    actor = DatabaseActor(
        island,
        database,
        it.check,
        on_unfit=it.unfit.append,
        backoff=Backoff(base_s=0.01, cap_s=0.1),
    )
    tree = Supervisor(
        name="stores",
        strategy=Strategy.REST_FOR_ONE,
        children=(
            Child(name="island", run=IslandActor(island).run, backoff=Backoff(base_s=0.01, cap_s=0.05)),
            Child(name="database", run=actor.run, backoff=Backoff(base_s=0.01, cap_s=0.05)),
            *_replica_child(it, max_lag_s),
        ),
    )
    failure: Exception | None = None
    async with open_tree(tree, on_event=it.events.append):
        if ready:
            await it.wait(Status.UP)
        try:
            yield it
        except Exception as error:  # noqa: BLE001  (raised again below, outside the groups)
            failure = error
    if failure is not None:
        raise failure


def _replica_child(it: Opened, max_lag_s: float) -> tuple[Child, ...]:
    if it.its_replica is None:
        return ()
    backoff = Backoff(base_s=0.01, cap_s=0.1)
    actor = ReplicaActor(it.island, it.replica, it.replica_check, max_lag_s=max_lag_s, backoff=backoff)
    return (Child(name="replica", run=actor.run, backoff=Backoff(base_s=0.01, cap_s=0.05)),)
