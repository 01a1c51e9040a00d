"""A rolling restart as operators do it: two instances behind a balancer, one after the other, under load."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.support import nginx
from tests.support.balancer import Balancing
from tests.support.server import Server
from tests.support.traffic import Sent, traffic


def drain(instance: Server) -> None:
    """End it as operators do: SIGTERM, and it leaves with 0 when all is answered."""
    instance.terminate()
    code = instance.wait()
    assert code == 0, f"a drained server must exit with 0, not {code}:\n{instance.logs()}"


def kill(instance: Server) -> None:
    """End it in the middle of whatever it does."""
    instance.kill()
    instance.wait()


def restart_in_turn(
    folder: Path,
    *,
    restarts: int,
    clients: int,
    methods: Sequence[str] = ("POST", "GET"),
    end: Callable[[Server], None] = drain,
    balancing: Balancing = nginx.balancing,
) -> Sent:
    """Send without pause while one instance after the other ends and starts again; return what became of the requests.

    The instances have stores of their own, so a GET may find nothing (404), a PUT may create (201): also answers.
    """
    instances = [Server(folder / name) for name in ("titan-1", "titan-2")]
    with ExitStack() as closing:
        closing.callback(_stop_all, instances)
        for instance in instances:
            instance.wait_ready()
        url = closing.enter_context(balancing(folder / "balancer", [instance.port for instance in instances]))
        sent = closing.enter_context(traffic(url, clients=clients, methods=methods))
        sent.wait_for(10 * clients)
        for turn in range(restarts):
            before = instances[turn % 2]
            end(before)
            instances[turn % 2] = after = Server(before.data_dir, port=before.port)
            after.wait_ready()
            sent.wait_for(10 * clients)
    return sent


def _stop_all(instances: list[Server]) -> None:
    with ExitStack() as closing:
        for instance in instances:
            closing.callback(instance.stop)
