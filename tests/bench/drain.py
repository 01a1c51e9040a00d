"""Requests lost while two instances behind nginx are restarted in turn."""

from collections.abc import Iterator

from tests.bench.figures import Figure, Run, at_most
from tests.support.rolling import restart_in_turn

RESTARTS = 10


def measure(run: Run) -> Iterator[Figure]:
    """Let 16 clients POST and GET through ten restarts."""
    run.say(f"{RESTARTS} restarts under load")
    sent = restart_in_turn(run.folder, restarts=RESTARTS, clients=16)
    lost = sent.lost()
    for outcome in lost[:10]:
        run.say(f"lost: {outcome}")
    counts = f"of {len(sent.outcomes):,}: " + ", ".join(
        f"{count:,} × {method} {status}" for (method, status), count in sorted(sent.statuses().items())
    )
    name = f"Requests lost over {RESTARTS} restarts behind nginx"
    yield Figure("drain", name, len(lost), "requests", at_most(0), counts)
