"""`./dev cluster [NAME=VALUE…]`: the operator's guide's drawing on this machine, until Ctrl-C; `./dev cluster down`.

Three instances behind nginx, PostgreSQL with a replica, Redis with three Sentinels, Prometheus with our alerts: all on
free ports of loopback, in files that are gone at the end. It prints where all of it is and which instance leads, and
again when that changes. NAME=VALUE are further settings of the instances (TITAN_LEADERSHIP__TTL_S=3). `down` ends one
that runs elsewhere, and what a run that was killed has left. FOLDER/cluster.json says the same to programs.
"""

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from tests.cluster.home import Busy, Home, Unusable, default
from tests.cluster.topology import Cluster, guided, name_of
from tests.support.folders import folders_below

LOOK_EVERY_S = 0.5


class Stopped(BaseException):
    """The wish to end, from wherever the program is just now."""


def main(arguments: Sequence[str]) -> int:
    """Run it, or end the one that runs; return the exit code."""
    options = _options(arguments)
    home = Home(options.folder)
    try:
        if options.settings == ["down"]:
            say("ended, nothing of it is left" if home.end() else "no cluster runs")
            return 0
        return _run(home, dict(one.split("=", 1) for one in options.settings))
    except (Busy, Unusable) as error:
        say(f"dev: {error}")
        return 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="*", metavar="down | NAME=VALUE")
    parser.add_argument("--folder", type=Path, default=default(), metavar="DIR", help="for its files (%(default)s)")
    options = parser.parse_args(arguments)
    if options.settings != ["down"] and (wrong := [one for one in options.settings if "=" not in one]):
        parser.error(f"neither down nor NAME=VALUE: {wrong[0]}")
    options.folder = options.folder.absolute()
    return options


def _run(home: Home, settings: Mapping[str, str]) -> int:
    _listen(_stop)
    began = time.monotonic()
    say("PostgreSQL, Redis and three instances are starting …")
    try:
        with home.taken(), _uncut_end(), folders_below(home.path):
            logs = home.path / "instances"
            logs.mkdir()
            with guided(logs, settings) as cluster:
                _tell(home, cluster, time.monotonic() - began)
                with contextlib.suppress(Stopped):  # and all of it ends in order
                    _follow(cluster)
    except Stopped:
        pass
    say("ended, nothing of it is left")
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    _listen(signal.SIG_IGN)  # what has begun to end is not cut short
    say("ending …")
    raise Stopped


@contextlib.contextmanager
def _uncut_end() -> Iterator[None]:
    """Have no signal disturb what comes after the block, however that ends."""
    try:
        yield
    finally:
        _listen(signal.SIG_IGN)


def _listen(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _tell(home: Home, cluster: Cluster, took_s: float) -> None:
    primary = cluster.installation.postgres
    places = {
        "api": cluster.url,
        **{name_of(instance): instance.url for instance in cluster.instances},
        "postgresql": primary.url(cluster.installation.database),
        "replica": cluster.replica.url(cluster.installation.database),
        "redis": cluster.redis.url(),
        "prometheus": cluster.prometheus,
        "files": str(home.path),
    }
    pids = {name_of(instance): instance.pid for instance in cluster.instances}
    (home.path / "cluster.json").write_text(json.dumps({"places": places, "pids": pids}, indent=1))
    say(f"ready after {took_s:.1f} s")
    for name, place in places.items():
        say(f"  {name:<11} {place}" + (f"  (process {pids[name]})" if name in pids else ""))
    settings = {"DATABASE_URL": "postgresql", "DATABASE_READ_URL": "replica", "REDIS_URL": "redis"}
    for_commands = " ".join(f"{variable}='{places[name]}'" for variable, name in settings.items())
    say(f"for ./dev titan leader status, ha check and so on:\n  export {for_commands}")
    say("Ctrl-C ends it; so does ./dev cluster down from elsewhere")


def _follow(cluster: Cluster) -> None:
    """Say who leads and who has ended, as that changes; without end."""
    leader, ended = "", set[str]()
    while True:
        if (now := cluster.leader()) and now != leader:
            leader = now
            say(f"{leader} leads")
        for instance in cluster.instances:
            if instance.exit_code is not None and name_of(instance) not in ended:
                ended.add(name_of(instance))
                say(f"{name_of(instance)} ended with {instance.exit_code}")
        time.sleep(LOOK_EVERY_S)


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
