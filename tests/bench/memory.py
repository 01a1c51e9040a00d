"""Memory of all processes of a server that took and gave 1,000 documents."""

from collections.abc import Iterator

from tests.bench import processes
from tests.bench.figures import Figure, Run, Unmeasurable, at_most
from tests.support.server import serving
from tests.support.traffic import traffic

DOCUMENTS = 1000


def measure(run: Run) -> Iterator[Figure]:
    """Post and get 1,000 documents of 4 KB by 16 clients, then add up the proportional set sizes."""
    server = run.closing.enter_context(serving(run.folder / "data"))
    before_mb = processes.pss_mb(processes.tree(server.pid))
    run.say(f"posting and getting {DOCUMENTS:,} documents")
    with traffic(server.url, clients=16) as sent:
        sent.wait_for(2 * DOCUMENTS, timeout_s=120)
    if lost := sent.lost():
        raise Unmeasurable(f"{len(lost)} requests failed, the first: {lost[0]}")
    pids = processes.tree(server.pid)
    after_mb = processes.pss_mb(pids)
    detail = f"{len(pids)} processes, {before_mb:.0f} MB before"
    yield Figure("memory", f"Memory (PSS) after {DOCUMENTS:,} documents of 4 KB", after_mb, "MB", at_most(120), detail)
