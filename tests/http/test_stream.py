"""The stream between socket and hypercorn, by itself."""

import socket

import trio

from titan.http.limits import HttpLimits
from titan.http.stream import ClientStream, Phase


class SendJustBefore(trio.abc.Instrument):
    """Sends from the client's side after the reader's time has run out, and before the reader can notice."""

    def __init__(self, reader: trio.lowlevel.Task, stream: ClientStream, client: socket.socket) -> None:
        self._reader = reader
        self._stream = stream
        self._client = client
        self.has_sent = False

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._reader and not self.has_sent and trio.current_time() >= self._stream.deadline:
            self.has_sent = True
            self._client.send(b"GET")


def pair(limits: HttpLimits) -> tuple[ClientStream, socket.socket]:
    server, client = socket.socketpair()
    transport = trio.SocketStream(trio.socket.from_stdlib_socket(server))
    return ClientStream(transport, limits, is_draining=lambda: False), client


async def test_a_request_that_comes_in_the_moment_of_closing_is_read():
    stream, client = pair(HttpLimits(keep_alive_s=0.05))
    stream.request_started()
    stream.request_finished(next_has_begun=False)
    instrument = SendJustBefore(trio.lowlevel.current_task(), stream, client)
    trio.lowlevel.add_instrument(instrument)
    try:
        assert await stream.receive_some() == b"GET"
    finally:
        trio.lowlevel.remove_instrument(instrument)
        client.close()
        stream.abort()
    assert instrument.has_sent


async def test_an_idle_connection_is_closed_before_anything_else_can_run():
    stream, client = pair(HttpLimits(keep_alive_s=0.05))
    stream.request_started()
    stream.request_finished(next_has_begun=False)
    assert await stream.receive_some() == b""
    assert stream.socket.fileno() == -1
    assert stream.phase is Phase.CLOSED
    assert client.recv(1) == b""
    client.close()


async def test_abort_ends_a_blocked_send_and_a_blocked_read():
    stream, client = pair(HttpLimits())
    ended: list[str] = []

    async def send() -> None:
        try:
            await stream.send_all(b"x" * 10_000_000)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            ended.append("send")

    async def read() -> None:
        try:
            await stream.receive_some()
        except trio.ClosedResourceError:
            ended.append("read")

    with trio.fail_after(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            stream.abort()
            stream.abort()
    assert sorted(ended) == ["read", "send"]
    client.close()
