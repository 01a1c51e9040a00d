"""Items about instances, PostgreSQL and Redis: pure functions of the evidence."""

from collections.abc import Sequence

from titan.ha.cluster import deployment_of, hpa_of
from titan.ha.evidence import Embedded, Evidence, NoRedis, Unknown
from titan.ha.reading import share, text
from titan.ha.verdict import Answer, cannot_tell, fails, passes
from titan.ha.watching import targets_up
from titan.redis.standing import Clustered, Single, Watched
from titan.store.postgres.standing import Standby, Standing

LEAST_INSTANCES = 3
LATE_S = 60.0
"""A standby that replays later than this is not one to fail over to."""
LEAST_SENTINELS = 3
LEAST_MASTERS = 3
STILL_STOPPING = 2
"""Pods of a rolling update that have not given their connections back yet when the next one is ready."""
BESIDE_THE_POOL = 2
"""Connections of an instance that are not its pool's: one watches the server, one follows what changes."""

_START_MORE = (
    "run one more instance for each that is missing, with a TITAN_INSTANCE_ID of its own where they share a host name"
)
_NAME_PLACES = "name the instances with --url (once for each), or --prometheus URL"


def instances(evidence: Evidence) -> Answer:
    """Count by the URLs that were given, else by the database, else by Prometheus: by the first that can tell.

    An autoscaler that may go below the minimum fails it, however many there are now.
    """
    least = _least_by_autoscaler(evidence)
    if least < LEAST_INSTANCES:
        return fails(f"the autoscaler may go down to {least}", "set minReplicas to 3")
    return _counted(evidence)


def _least_by_autoscaler(evidence: Evidence) -> int:
    hpa = None if isinstance(evidence.cluster, Unknown) else hpa_of(evidence.cluster)
    if hpa is None:
        return LEAST_INSTANCES
    return share(text(hpa, "spec", "minReplicas") or "1", 0)  # Kubernetes' own default


def _counted(evidence: Evidence) -> Answer:
    if evidence.instances:
        serving = [asked.url for asked in evidence.instances if asked.serves]
        others = [f"{asked.url} {asked.said}" for asked in evidence.instances if not asked.serves]
        return _enough(len(serving), "; ".join([f"{len(serving)} of the URLs are ready", *others]))
    database = evidence.database
    if isinstance(database, Embedded):
        return fails("the embedded store is one process", "set DATABASE_URL to a PostgreSQL that instances share")
    if isinstance(database, Standing) and not database.is_pooled:
        names = ", ".join(database.instances)
        return _enough(len(database.instances), f"connected to the database: {names or 'none'}")
    if isinstance(evidence.watcher, Unknown):
        why = database.reason if isinstance(database, Unknown) else "a pooler hides which instances are connected"
        return cannot_tell(why, _NAME_PLACES)
    up = targets_up(evidence.watcher)
    return _enough(len(up), f"up in Prometheus: {', '.join(up) or 'none'}")


def _enough(count: int, reason: str) -> Answer:
    return passes(reason) if count >= LEAST_INSTANCES else fails(reason, _START_MORE)


def replication(evidence: Evidence) -> Answer:
    """Look for standbys that stream from the primary."""
    database = evidence.database
    match database:
        case Embedded():
            return fails("the embedded store has no replica", "set DATABASE_URL to a PostgreSQL with a standby")
        case Unknown():
            return cannot_tell(database.reason, "run this where DATABASE_URL is set as the instances have it")
    if not database.standbys:
        return fails(
            "no standby streams from the primary",
            "make one (pg_basebackup -R, Patroni, CloudNativePG); what a provider copies below it is not seen here",
        )
    if any(standby.state is None for standby in database.standbys):
        return cannot_tell(
            f"{len(database.standbys)} standbys are connected; this user may not see how they are",
            "GRANT pg_monitor TO the user of DATABASE_URL",
        )
    reason = ", ".join(map(_standby, database.standbys))
    replaying = [one for one in database.standbys if one.state == "streaming" and one.behind_bytes is not None]
    if not replaying:
        return fails(reason, "see in the standby's log why it does not stream; an archive of the log is no standby")
    if all((standby.lag_s or 0) > LATE_S for standby in replaying):
        return fails(reason, "see what holds up its replay: a pause, a long query there, a slow disk or network")
    return passes(reason)


def _standby(standby: Standby) -> str:
    behind = ", replays nothing" if standby.behind_bytes is None else f", {standby.behind_bytes:,} bytes behind"
    late = "" if standby.lag_s is None else f", {standby.lag_s:.1f} s late"
    return f"{standby.name or 'a standby'} {standby.state} ({standby.sync_state}{behind}{late})"


def redis(evidence: Evidence) -> Answer:
    """See that something takes over where a Redis is lost."""
    found = evidence.redis
    match found:
        case NoRedis():
            return fails("REDIS_URL is not set", "deploy Redis with three Sentinels, or a cluster; see deploy/redis.md")
        case Unknown():
            return cannot_tell(found.reason, "run this where Redis can be reached")
        case Single():
            return fails(
                f"REDIS_URL names one server ({found.replicas} replicas, which nobody promotes)",
                "name Sentinels with ?sentinelMaster=NAME, or nodes with ?cluster=true",
            )
        case Watched():
            seen = (
                f"{found.sentinels} Sentinels with quorum {found.quorum}, {found.replicas} replicas well;"
                f" {found.answered} of {found.asked} in the URL answered"
            )
            return _sound(seen, _watched_wants(found))
        case Clustered():
            seen = f"cluster {found.state}, {found.masters} masters"
            return _sound(seen, _clustered_wants(found))


def _watched_wants(found: Watched) -> list[str]:
    wants = []
    if found.trouble is not None:
        wants.append(f"the Sentinels could not fail over now: {found.trouble}")
    if found.sentinels < LEAST_SENTINELS:
        wants.append("run at least three Sentinels, on machines of their own")
    if found.answered < found.asked:
        wants.append("bring back the Sentinels that do not answer, or take them out of REDIS_URL")
    if not 1 < found.quorum <= found.sentinels:
        wants.append("set the quorum to more than one, at most the number of Sentinels")
    if found.replicas < 1:
        wants.append("give the master a replica that can be promoted")
    return wants


def _clustered_wants(found: Clustered) -> list[str]:
    wants = []
    if found.state != "ok":
        wants.append("mend the cluster: redis-cli --cluster check")
    if found.masters < LEAST_MASTERS:
        wants.append("run at least three masters: fewer cannot outvote one that is lost")
    if found.without_replica:
        wants.append(f"give a replica to {', '.join(found.without_replica)}")
    return wants


def _sound(seen: str, wants: Sequence[str]) -> Answer:
    return fails(seen, "; ".join(wants)) if wants else passes(seen)


def connections(evidence: Evidence) -> Answer:
    """Compare what all instances may open with what the server takes."""
    database = evidence.database
    match database:
        case Embedded():
            return passes("the embedded store has no connections to run out of")
        case Unknown():
            return cannot_tell(database.reason, "run this where DATABASE_URL is set as the instances have it")
    if database.is_pooled:
        return cannot_tell("a pooler stands before the server", "compare its max_client_conn and default_pool_size")
    most = _most_instances(evidence)
    if isinstance(most, Unknown):
        return cannot_tell(most.reason, "give --max-replicas NUMBER")
    each = evidence.pool_size + BESIDE_THE_POOL
    room = database.max_connections - database.reserved_connections
    reason = (
        f"{most} instances x {each} connections (pool of {evidence.pool_size} and {BESIDE_THE_POOL}) = {most * each};"
        f" max_connections {database.max_connections} less {database.reserved_connections} reserved = {room}"
    )
    if most * each <= room:
        return passes(reason)
    return fails(
        reason,
        f"set max_connections to {most * each + database.reserved_connections} and what your tools need, or"
        f" TITAN_DATABASE__POOL_SIZE to at most {max(1, room // most - BESIDE_THE_POOL)}",
    )


def _most_instances(evidence: Evidence) -> int | Unknown:
    """Return how many there may be at the same time, also during a rolling update."""
    if evidence.max_instances is not None:
        return evidence.max_instances
    if isinstance(evidence.cluster, Unknown):
        return Unknown(f"how many instances there may be is not known: {evidence.cluster.reason}")
    deployment = deployment_of(evidence.cluster)
    if deployment is None:
        return Unknown("how many instances there may be is not known: no Deployment titan-aas")
    hpa = hpa_of(evidence.cluster)
    most = text(hpa, "spec", "maxReplicas") if hpa is not None else text(deployment, "spec", "replicas")
    if not most.isdecimal():
        return Unknown("neither HPA nor Deployment says how many instances there may be")
    surge = share(text(deployment, "spec", "strategy", "rollingUpdate", "maxSurge"), int(most))
    return int(most) + surge + (STILL_STOPPING if surge else 0)
