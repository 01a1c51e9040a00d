"""The real server with a socket through which a test hurts it: a test-only hook, never part of the program.

`python -m tests.support.hooked` is `titan serve` that also listens on the Unix socket $HOOK_SOCKET. A line is an order:

* `fail PATH`: the actor at PATH ends with an error, as if it had a bug.
* `block SECONDS`: the event loop does nothing else for so long.
* `cling`: a task starts that ignores its cancellation.
* `kill-island`: the thread of the database drivers dies in the middle of its work.

The answer is one line, `done` or why not. The hard deadline may be shorter than a drain may take.
"""

import os
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

from supervisors.actors.island import IslandActor
from supervisors.backends import Postgres
from supervisors.instance import Instance
from supervisors.kernel import Tree
from supervisors.root import serve
from tests.support.waiting import wait_until
from titan.island import IslandDown
from titan.settings_load import load

PROGRAM = (sys.executable, "-m", "tests.support.hooked")


class InjectedFault(Exception):
    """What an actor that is told to fail ends with."""


def order(path: Path, text: str) -> str:
    """Send one order to a hooked server and return its answer; it listens once its whole tree is up."""
    wait_until(path.exists, what="a server that takes orders")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(f"{text}\n".encode())
        return connection.makefile().readline().strip()


def hook(instance: Instance, tree: Tree) -> None:
    """Listen for orders from now on."""
    path = os.environ["HOOK_SOCKET"]
    Path(path).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    trio.lowlevel.spawn_system_task(_listen, trio.SocketListener(trio.socket.from_stdlib_socket(sock)), instance, tree)


async def _listen(listener: trio.SocketListener, instance: Instance, tree: Tree) -> None:
    await trio.serve_listeners(partial(_obey, instance, tree), [listener])


async def _obey(instance: Instance, tree: Tree, stream: trio.SocketStream) -> None:
    async with stream:
        words = (await stream.receive_some()).decode().split()
        match words:
            case ["fail", path]:
                done = tree.fail_child(path, InjectedFault("injected by the test"))
                await stream.send_all(b"done\n" if done else b"nothing runs there\n")
            case ["block", seconds]:
                await stream.send_all(b"done\n")
                time.sleep(float(seconds))  # noqa: ASYNC251  (blocking the loop is the order)
            case ["kill-island"]:
                assert isinstance(instance.backend, Postgres)
                assert isinstance(instance.backend.island, IslandActor)
                with suppress(IslandDown):
                    await instance.backend.island._island.run(_die)
                await stream.send_all(b"done\n")
            case ["cling"]:
                trio.lowlevel.spawn_system_task(_cling)
                await stream.send_all(b"done\n")
            case _:
                await stream.send_all(b"unknown order\n")


async def _die() -> None:
    """End the island's thread as a bug below its loop would."""
    raise SystemExit


async def _cling() -> None:
    """Keep the loop alive whatever happens: trio waits for system tasks at its end."""
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


if __name__ == "__main__":
    sys.exit(serve(load(os.environ, longest_shutdown_s=0), hook=hook))
