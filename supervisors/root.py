"""The root of the process: makes an instance, runs its tree, turns signals into a drain and ends into exit codes.

What goes wrong before the tree runs (a port that is taken, a folder that cannot be written, a schema that is not
ready) is one line on standard error that says what to do, never a traceback.
"""

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from supervisors.actors.telemetry import event_log
from supervisors.backends import Surroundings, open_backend
from supervisors.instance import Base, Instance, Sockets, State, instance_id, listening, make_instance
from supervisors.kernel import ActorEvent, FirstStartFailed, GaveUp, GiveUp, Snapshot, Tree, open_tree
from supervisors.signals import StopSignals
from supervisors.tree import tree as tree_of
from titan.exits import ExitCode
from titan.http.sockets import BindFailed
from titan.http.tls import BadCertificate
from titan.settings import LogFormat, Settings
from titan.settings_load import Loaded
from titan.store.contract import StoreDamaged, StoreUnavailable
from titan.store.schema import SchemaUnfit
from titan.store.sqlite.lock import AlreadyServed
from titan.store.sqlite.prepare import DataFolderUnusable, UpgradeFailed
from titan.telemetry.health import Check
from titan.telemetry.log import Log, capture_stdlib, make_log
from titan.telemetry.metrics import Metrics
from titan.telemetry.sdnotify import Notifier
from titan.telemetry.writer import LineWriter
from titan.version import __version__

STDOUT = 1
LOG_FLUSH_S = 1.0
"""How long the last lines may take to be written when nobody reads them."""

Hook = Callable[[Instance, Tree], None]
"""For tests of the process: called once when the tree is up."""


def serve(loaded: Loaded, *, hook: Hook | None = None) -> ExitCode:
    """Run the server until it is stopped by a signal or gives up; return why it ended."""
    settings = loaded.settings
    writer = LineWriter(STDOUT)
    log = make_log(
        writer.write,
        json=settings.log.format is LogFormat.JSON,
        level=settings.log.level.value,
        colour=settings.log.format is LogFormat.CONSOLE and os.isatty(STDOUT),
        instance=instance_id(settings),
    )
    for warning in loaded.warnings:
        log.warning("configuration", advice=warning)
    try:
        with capture_stdlib(log):
            return trio.run(Root(settings, log, writer, hook).run, strict_exception_groups=True)
    except Exception:
        log.exception("failed")  # a bug: the command's own line does not say where
        raise
    finally:
        writer.close(LOG_FLUSH_S)


STARTS_NOT = (
    BindFailed,
    BadCertificate,
    DataFolderUnusable,
    AlreadyServed,
    StoreDamaged,
    StoreUnavailable,
    UpgradeFailed,
)
"""What keeps a server from starting and may be mended by starting it again.

A failed upgrade is among it: it leaves the schema as it was, for a reason that may pass (a full disk, say), while exit
code 4 asks for another version or a command.
"""


class Root:
    """One run of the process."""

    def __init__(self, settings: Settings, log: Log, writer: LineWriter, hook: Hook | None) -> None:
        self._settings = settings
        self._log = log
        self._writer = writer
        self._hook = hook
        self._state = State()
        self._tell = event_log(log)
        self._notifier = Notifier.from_environment(
            os.environ, on_failure=lambda error: log.warning("systemd cannot be told", reason=str(error))
        )
        self._unfit: SchemaUnfit | None = None
        self._is_unfit = trio.Event()

    async def run(self) -> ExitCode:
        """Start, serve, stop; expected failures become a line and a code, bugs propagate."""
        code = ExitCode.DONE
        signals = StopSignals(self._settings.process.hard_deadline_s)
        with signals.installed():
            try:
                async with (
                    self._ended_by(signals.requested, lambda: signals.reason),
                    self._ended_by(self._is_unfit, lambda: "the database's schema does not fit"),
                    self._prepared() as (instance, sockets),
                ):
                    await self._serve(instance, sockets)
                if self._unfit is not None:
                    raise self._unfit
            except* STARTS_NOT as failures:
                code = _say(failures, ExitCode.FAILED)
            except* SchemaUnfit as failures:
                code = _say(failures, ExitCode.SCHEMA)
            except* FirstStartFailed as failures:
                code = _say(failures, ExitCode.FAILED)
            except* GiveUp as failures:
                code = _say(failures, ExitCode.GAVE_UP)
        self._notifier.close()
        self._log.info("stopped", exit_code=int(code))
        return code

    @asynccontextmanager
    async def _ended_by(self, requested: trio.Event, reason: Callable[[], str]) -> AsyncIterator[None]:
        """Cancel the block once this is requested: the tree inside takes that as the wish for an ordered stop."""
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await requested.wait()
                self._state.drain.set()  # before anything stops: readiness says so from the first moment
                self._notifier.stopping("draining")
                self._log.info("draining", reason=reason())
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            yield
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def _prepared(self) -> AsyncIterator[tuple[Instance, Sockets]]:
        """Take what an instance needs for itself alone, and make it."""
        base = Base(self._log, self._notifier, Metrics(), self._state)
        base.metrics.watch_log(lambda: self._writer.dropped)
        checks: dict[str, Check] = {}

        def new_check(name: str) -> Check:
            check = checks[name] = base.check(name)
            return check

        around = Surroundings(instance_id(self._settings), new_check, base.metrics, self._on_unfit)
        with listening(self._settings) as sockets:
            async with open_backend(self._settings, around) as backend:
                yield make_instance(self._settings, backend, sockets, base, checks), sockets

    def _on_unfit(self, error: SchemaUnfit) -> None:
        self._unfit = error
        self._is_unfit.set()

    async def _serve(self, instance: Instance, sockets: Sockets) -> None:
        async with open_tree(tree_of(instance), on_event=self._note) as tree:
            self._state.tree = tree
            self._announce(instance.backend.place, sockets, tree.snapshot())
            self._notifier.ready(f"serving on port {sockets.port}")
            if self._hook is not None:
                self._hook(instance, tree)
            await tree.wait_finished()

    def _note(self, event: ActorEvent) -> None:
        if isinstance(event, GaveUp) and "/" not in event.path:  # the root: the process ends as it does by a signal
            self._state.drain.set()
            self._notifier.stopping("gave up")
        self._tell(event)

    def _announce(self, store: str, sockets: Sockets, root: Snapshot) -> None:
        http = self._settings.http
        scheme = "https" if http.tls_cert else "http"
        host = f"[{http.host}]" if ":" in http.host else http.host
        url = f"{scheme}://{host}:{sockets.port}{http.base_path}"
        if self._settings.log.format is LogFormat.JSON:
            self._log.info("serving", version=__version__, url=url, store=store, tree=_outline(root))
        else:
            line = f"titan-aas {__version__} serves {url}  store {store}  tree {_outline(root)}\n"
            self._writer.write(line.encode())


def _outline(node: Snapshot) -> str:
    below = " ".join(_outline(child) for child in node.children)
    return f"{node.name}[{below}]" if below else node.name


def _say(failures: BaseExceptionGroup[Exception], code: ExitCode) -> ExitCode:
    """Put each failure into one line for the operator."""
    for failure in _leaves(failures):
        origin = failure.origin if isinstance(failure, FirstStartFailed) else failure
        print(f"titan: {origin}", file=sys.stderr)  # noqa: T201  (the one line for the operator)
    return code


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
