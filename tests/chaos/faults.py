"""What happens to a database and its instances that nobody can prevent, one class each; none needs rights of root."""

import asyncio
import contextlib
import os
import signal
import time

import asyncpg

from tests.chaos.installation import Installation
from tests.chaos.round import Fault, Readiness
from tests.support.history import recording
from tests.support.postgres import Postgres


class Killed(Fault):
    title = "killed (-9, all of its processes)"
    says = "Connection refused"

    def begin(self, on: Installation) -> None:
        on.postgres.kill()

    def end(self, on: Installation) -> None:
        on.postgres.start()


class Frozen(Fault):
    title = "frozen (SIGSTOP, all of its processes)"
    says = "no answer in time"

    def begin(self, on: Installation) -> None:
        on.postgres.freeze()

    def end(self, on: Installation) -> None:
        on.postgres.thaw()


class Restarted(Fault):
    title = "stopped in order, started again"
    says = "Connection refused"

    def begin(self, on: Installation) -> None:
        on.postgres.stop(mode=signal.SIGINT)

    def end(self, on: Installation) -> None:
        on.postgres.start()


class SessionsEnded(Fault):
    """An administrator, or a fire wall with a reset, ends every session; the next connect works."""

    title = "all sessions ended"
    readiness = Readiness.EITHER

    def begin(self, on: Installation) -> None:
        on.end_sessions()

    def end(self, on: Installation) -> None:
        pass


class _Crowd:
    """Other clients of the server, as many as it takes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._runner = asyncio.Runner()
        self._sessions: list[asyncpg.Connection] = []

    def take_all(self, most: int = 1_000) -> None:
        """Open sessions until there is no room for one more."""
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while len(self._sessions) < most:
                self._sessions.append(self._runner.run(asyncpg.connect(self._url)))

    def run(self, sql: str) -> object:
        """Run a statement in one of the sessions; return the first value."""
        return self._runner.run(self._sessions[0].fetchval(sql))

    def leave(self) -> None:
        for session in self._sessions:
            session.terminate()
        self._runner.run(asyncio.sleep(0))
        self._sessions.clear()
        self._runner.close()


_OTHERS_SESSIONS = "FROM pg_stat_activity WHERE application_name LIKE 'titan%' AND pid <> pg_backend_pid()"


class Crowded(Fault):
    """Others take every connection that the server has; those of the instances stay and do the work."""

    title = "max_connections taken by others"
    readiness = Readiness.KEPT
    says = "no further connection: too many connections"
    held_s = 1.5
    blocked_s = 0.7

    def begin(self, on: Installation) -> None:
        self._crowd = _Crowd(on.postgres.url())
        writers_wait = "BEGIN; LOCK TABLE titan_document IN EXCLUSIVE MODE"
        self._crowd.take_all()
        # So that the instances want further connections: a burst of clients whose writes wait.
        with on.postgres.session(writers_wait, on.database), recording(on.urls, seed=0, clients=24):
            time.sleep(self.blocked_s)

    def end(self, on: Installation) -> None:
        self._crowd.leave()


class CrowdedOut(Fault):
    """Others take every connection, those of the instances too."""

    title = "max_connections taken by others, none left"
    says = "too many connections"
    held_s = 1.5
    settled_s = 0.1
    spared = ""

    def begin(self, on: Installation) -> None:
        self._crowd = _Crowd(on.postgres.url())
        quiet_since_s = time.monotonic()
        while time.monotonic() < quiet_since_s + self.settled_s:  # one that was just connecting was not to be seen
            self._crowd.take_all()
            if self._crowd.run(f"SELECT count(pg_terminate_backend(pid)) {_OTHERS_SESSIONS} {self.spared}"):
                quiet_since_s = time.monotonic()

    def end(self, on: Installation) -> None:
        self._crowd.leave()


class PoolCrowdedOut(CrowdedOut):
    """As before, except that the connection by which an instance watches the server is left to it.

    The first that gives up leaves room for one connection of the other, which then serves with that.
    """

    title = "max_connections taken by others, one left to watch"
    readiness = Readiness.EITHER
    spared = "AND query NOT LIKE '%titan_schema%'"


class TableLocked(Fault):
    """Somebody holds an exclusive lock on the documents, as a careless migration or a VACUUM FULL does."""

    title = "table locked (ACCESS EXCLUSIVE)"
    readiness = Readiness.KEPT
    held_s = 1.5
    burst_s = 1.0

    def begin(self, on: Installation) -> None:
        self._closing = contextlib.ExitStack()
        lock = "BEGIN; LOCK TABLE titan_document IN ACCESS EXCLUSIVE MODE"
        self._closing.enter_context(on.postgres.session(lock, on.database))
        with recording(on.urls, seed=0, clients=40) as self.burst:  # more than all pools have connections
            time.sleep(self.burst_s)

    def end(self, on: Installation) -> None:
        self._closing.close()


class InstanceKilled(Fault):
    title = "one instance killed (-9) and started again"
    readiness = Readiness.KEPT
    victim: int | None = 0

    def begin(self, on: Installation) -> None:
        on.instances[0].kill()
        on.instances[0].wait()

    def end(self, on: Installation) -> None:
        on.restart_instance(0).wait_ready()


class InstanceFrozen(Fault):
    """One instance stops in the middle of its work, perhaps in a transaction, and goes on later."""

    title = "one instance frozen (SIGSTOP)"
    readiness = Readiness.KEPT
    victim: int | None = 0
    held_s = 1.0

    def begin(self, on: Installation) -> None:
        os.kill(on.instances[0].pid, signal.SIGSTOP)

    def end(self, on: Installation) -> None:
        os.kill(on.instances[0].pid, signal.SIGCONT)


class Promoted(Fault):
    """The primary dies and its standby is promoted by whoever does that; the URL names both."""

    title = "primary killed, synchronous standby promoted"
    says = "the server is a standby"

    def __init__(self, standby: Postgres) -> None:
        self._standby = standby

    def begin(self, on: Installation) -> None:
        on.postgres.kill()

    def end(self, on: Installation) -> None:
        self._standby.promote()
        on.postgres = self._standby


class PromotedLate(Promoted):
    """An asynchronous standby that had lost touch with its primary: what it had not received is gone."""

    title = "primary killed, asynchronous standby promoted"
    says = "Connection refused"
    may_lose = True
    lag_s = 0.5

    def begin(self, on: Installation) -> None:
        self._standby.stop()
        time.sleep(self.lag_s)  # what is acknowledged from here on never leaves the primary
        on.postgres.kill()
        self._standby.start()


class StandbyAway(Fault):
    """A synchronous standby is gone for a while: nothing can be acknowledged, and nothing is."""

    title = "synchronous standby away"
    readiness = Readiness.KEPT
    held_s = 2.5

    def __init__(self, standby: Postgres) -> None:
        self._standby = standby

    def begin(self, on: Installation) -> None:
        self._standby.kill()

    def end(self, on: Installation) -> None:
        self._standby.start()
        on.postgres.wait_for_synchronous_standby()
