"""The store's end of the writer process: starts it, sends what callers ask, gives each its answer."""

import socket
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from titan.store.contract import OutcomeUnknown, StoreClosed, StoreUnavailable
from titan.store.sqlite import child, wire
from titan.store.sqlite.trouble import Trouble, TroubleKind

MAX_UNANSWERED = 512
"""Requests with the writer process at one time; the others wait here, where a caller who gives up costs nothing."""
MAX_UNANSWERED_BYTES = 8 << 20
RECEIVE_BYTES = 1 << 16
STOP_S = 3.0
"""How long a stop waits for what was sent to be committed."""
KILL_S = 1.0
"""How long it then waits for a killed process; one that hangs in the kernel is left behind."""
STDERR_KEPT_BYTES = 4096

Reply = tuple[Any, ...]


_WROTE = frozenset(
    {
        wire.CREATED,
        wire.REPLACED,
        wire.DELETED,
        wire.TRIMMED,
        wire.PROBED,
        wire.BLOB_ADDED,
        wire.SYNC_DONE,
        wire.TASK_NOTED,
        wire.CURSOR_DONE,
    }
)
_TROUBLE = {wire.FULL: TroubleKind.FULL, wire.DAMAGED: TroubleKind.DAMAGED}


class WriterFailed(Exception):
    """The writer process ended, or could not start. `may_pass`: for a reason outside this program, try again later."""

    def __init__(self, reason: str, *, may_pass: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.may_pass = may_pass


class _Pending:
    """One request on its way."""

    __slots__ = ("done", "error", "reply", "request", "sent_at", "size")

    def __init__(self, request: tuple[Any, ...]) -> None:
        self.request: tuple[Any, ...] | None = request
        self.size = 0
        self.sent_at = 0.0
        self.done = trio.Event()
        self.reply: Reply = ()
        self.error: StoreUnavailable | None = None


class WriterClient:
    """Calls the writer process. `run` owns the process; `call` may be used by any number of tasks, also before."""

    def __init__(self, path: Path, command: Sequence[str] | None = None) -> None:
        self._path = path
        self._command = command or child.command("titan.store.sqlite.writer")
        self._queue: deque[_Pending] = deque()
        self._sent: dict[int, _Pending] = {}
        self._number = 0
        self._changed = trio.Event()
        self._is_mid_frame = False
        self._closed_because = ""
        self.file = ""
        """Which file it must be (`turn.file_of`); set by the store once its readers have it open."""
        self.pid: int | None = None
        self.unanswered_bytes = 0
        self.trouble: Trouble | None = None
        """Set by a refusal, gone with the next success."""
        self.on_wrote: Callable[[], object] = lambda: None
        """Called once something was committed."""

    async def call(self, *request: Any) -> Reply:
        """Have one request carried out; returns the reply from its code on.

        Waits while there is no process. Cancelled before it was sent: nothing happens. Cancelled after: it happens
        unseen. Raises `OutcomeUnknown` where the process dies in between.
        """
        if self._closed_because:
            raise StoreClosed(self._closed_because)
        pending = _Pending(request)
        self._queue.append(pending)
        self._changed.set()
        try:
            await pending.done.wait()
        finally:
            pending.request = None  # not to be sent any more
        if pending.error is not None:
            raise pending.error
        return pending.reply

    @property
    def waiting_s(self) -> float:
        """How long the process has owed its oldest answer; 0 where it owes none."""
        return next((trio.current_time() - pending.sent_at for pending in self._sent.values()), 0.0)

    async def run(self, started: Callable[[], object]) -> None:
        """Start the process, call `started` once it can write, and serve until cancelled.

        Raises `WriterFailed` when it ends by itself; calls that were sent then get `OutcomeUnknown`, the others wait
        for the next run. Cancelled, it asks the process to finish what was sent and to stop; that takes `STOP_S` and
        `KILL_S` at most.
        """
        self._is_mid_frame = False
        process, stream = await self._start()
        self.pid = process.pid
        said: WriterFailed | None = None
        errors = bytearray()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_keep_tail, process.stderr, errors)

                def ready() -> None:
                    nursery.start_soon(self._send, stream)
                    started()

                said = await self._receive(stream, ready)
                with trio.move_on_after(STOP_S):
                    await process.wait()
                nursery.cancel_scope.cancel()
        finally:
            self.pid = None
            await self._end(process, stream)
        if said is not None:
            raise said
        raise _died(process.returncode, errors.decode(errors="replace").strip())

    def close(self, reason: str = "the store is closed") -> None:
        """Refuse what waits and what comes."""
        self._closed_because = reason
        while self._queue:
            pending = self._queue.popleft()
            pending.error = StoreClosed(reason)
            pending.done.set()

    async def _start(self) -> tuple[trio.Process, trio.SocketStream]:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await trio.lowlevel.open_process(
                    [*self._command, str(self._path), self.file],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=child.environment(SQLITE_TMPDIR=str(self._path.parent)),  # the one surely writable folder
                    start_new_session=True,  # a Ctrl-C at the terminal is for the parent alone
                )
        except OSError as error:  # no memory, no descriptors, no room for one more process
            ours.close()
            raise WriterFailed(f"the writer process cannot be started: {error}", may_pass=True) from error
        except BaseException:
            ours.close()
            raise
        return process, trio.SocketStream(trio.socket.from_stdlib_socket(ours))

    async def _send(self, stream: trio.SocketStream) -> None:
        """Send what waits, in order of arrival and as much at once as the limits allow."""
        while True:
            frames = self._take()
            if not frames:
                self._changed = trio.Event()
                await self._changed.wait()
                continue
            self._is_mid_frame = True
            try:
                await stream.send_all(b"".join(frames))
            except trio.BrokenResourceError:
                return  # it died; the receiving side tells
            self._is_mid_frame = False

    def _take(self) -> list[bytes]:
        frames = []
        while self._queue and len(self._sent) < MAX_UNANSWERED and self.unanswered_bytes < MAX_UNANSWERED_BYTES:
            pending = self._queue.popleft()
            if pending.request is None:
                continue  # its caller has given up
            self._number += 1
            encoded = wire.frame((self._number, *pending.request))
            frames.append(encoded)
            pending.size = len(encoded)
            pending.sent_at = trio.current_time()
            self._sent[self._number] = pending
            self.unanswered_bytes += pending.size
        return frames

    async def _receive(self, stream: trio.SocketStream, ready: Callable[[], None]) -> WriterFailed | None:
        """Hand out answers until the process closes its end; return why, if it said."""
        frames = wire.Frames()
        said: WriterFailed | None = None
        while True:
            try:
                data = await stream.receive_some(RECEIVE_BYTES)
            except trio.BrokenResourceError:
                return said
            if not data:
                return said
            for what, *rest in frames.feed(data):
                if what == "ready":
                    ready()
                elif what == "done":
                    self._answer(rest[0])
                else:
                    said = WriterFailed(rest[0], may_pass=rest[1])

    def _answer(self, replies: list[Reply]) -> None:
        has_written = False
        for number, *reply in replies:
            pending = self._sent.pop(number)
            self.unanswered_bytes -= pending.size
            pending.reply = tuple(reply)
            pending.done.set()
            if reply[0] in _WROTE:
                self.trouble = None
                has_written = True
            elif reply[0] in _TROUBLE:
                self.trouble = Trouble(_TROUBLE[reply[0]], reply[1])
        self._changed.set()
        if has_written:
            self.on_wrote()

    async def _end(self, process: trio.Process, stream: trio.SocketStream) -> None:
        """See the process out: first by asking it, then by force; whoever is still unanswered learns that."""
        with trio.move_on_after(STOP_S, shield=True):
            if process.returncode is None and not self._is_mid_frame:
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(wire.frame((0, wire.STOP)))
                await self._receive(stream, lambda: None)
            await stream.aclose()
            await process.wait()
        if process.returncode is None:
            process.kill()
        self._fail_sent()
        assert process.stderr is not None
        with trio.move_on_after(KILL_S, shield=True):  # every await in here: the caller may be cancelled
            await trio.aclose_forcefully(stream)
            await trio.aclose_forcefully(process.stderr)
            await process.wait()

    def _fail_sent(self) -> None:
        while self._sent:
            _, pending = self._sent.popitem()
            pending.error = OutcomeUnknown("the writer process ended before it answered")
            pending.done.set()
        self.unanswered_bytes = 0


async def _keep_tail(stream: trio.abc.ReceiveStream | None, tail: bytearray) -> None:
    """Keep the end of what the process says on standard error: the reason of a death that it did not expect."""
    assert stream is not None
    async for data in stream:
        tail += data
        del tail[:-STDERR_KEPT_BYTES]


def _died(returncode: int | None, said: str) -> WriterFailed:
    """Say in one line how it died: the last one of what it said, which of a traceback is the error. All is a note."""
    reason = f"the writer process died ({_exit(returncode)})"
    if not said:
        return WriterFailed(reason, may_pass=False)
    failure = WriterFailed(f"{reason}: {said.splitlines()[-1]}", may_pass=False)
    failure.add_note(said)
    return failure


def _exit(returncode: int | None) -> str:
    if returncode is None:
        return "it does not end"
    return f"killed by signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
