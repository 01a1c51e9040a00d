"""A rolling restart as operators do it: two instances behind nginx, one after the other, under load."""

from contextlib import ExitStack
from pathlib import Path

from tests.support.nginx import balancing
from tests.support.server import Server
from tests.support.traffic import Sent, traffic


def restart_in_turn(folder: Path, *, restarts: int, clients: int) -> Sent:
    """Send without pause while one instance after the other ends by SIGTERM and starts again; return what became of it.

    The instances have stores of their own, so a GET may find nothing (404); that is an answer.
    """
    instances = [Server(folder / name) for name in ("titan-1", "titan-2")]
    with ExitStack() as closing:
        for instance in instances:
            closing.callback(instance.stop)
            instance.wait_ready()
        url = closing.enter_context(balancing(folder / "nginx", [instance.port for instance in instances]))
        sent = closing.enter_context(traffic(url, clients=clients))
        sent.wait_for(10 * clients)
        for turn in range(restarts):
            instances[turn % 2] = _restarted(instances[turn % 2], closing)
            sent.wait_for(10 * clients)
    return sent


def _restarted(instance: Server, closing: ExitStack) -> Server:
    instance.terminate()
    code = instance.wait()
    assert code == 0, f"a drained server must exit with 0, not {code}:\n{instance.logs()}"
    again = Server(instance.data_dir, port=instance.port)
    closing.callback(again.stop)
    again.wait_ready()
    return again
