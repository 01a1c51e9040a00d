"""GET and POST of 4 KB against the yardstick Q, which answers a constant of the same size and does nothing else."""

import http.client
import statistics
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import load, processes, twins
from tests.bench.figures import Figure, Run, Unmeasurable, at_least, number
from tests.support.server import serving

SIZE = 4096
CLIENTS = 32
READERS = 16
HOT = "urn:bench:hot"


@dataclass(slots=True)
class Turns:
    """What each turn measured, in requests a second."""

    q_get: list[float] = field(default_factory=list)
    q_post: list[float] = field(default_factory=list)
    get: list[float] = field(default_factory=list)
    post: list[float] = field(default_factory=list)
    post_beside_get: list[float] = field(default_factory=list)


def measure(run: Run) -> Iterator[Figure]:
    """Let Q and the server take turns."""
    server = run.closing.enter_context(serving(run.folder / "data"))
    q_url = run.closing.enter_context(processes.yardstick(SIZE))
    hot = create(server.url, HOT)
    turns, posts = Turns(), Posts(run)
    for turn in range(run.rounds):
        run.say(f"turn {turn + 1} of {run.rounds}")
        turns.q_get.append(rate(q_url, run.seconds))
        turns.get.append(rate(hot, run.seconds))
        turns.q_post.append(posts.rate(q_url))
        turns.post.append(posts.rate(server.url))
        turns.post_beside_get.append(posts.rate(server.url, beside=hot))
    yield ratio("GET of one hot document of 4 KB, 32 clients", turns.get, turns.q_get, "× Q", 0.7)
    yield ratio("POST of 4 KB, 32 clients", turns.post, turns.q_post, "× Q", 0.33)
    name = "POST while 16 more clients GET without pause"
    yield ratio(name, turns.post_beside_get, turns.post, "× alone", 0.25)


def ratio(name: str, ours: list[float], theirs: list[float], unit: str, target: float) -> Figure:
    """Return the median of the turns' ratios."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    detail = f"{number(statistics.median(ours))}/s against {number(statistics.median(theirs))}/s"
    return Figure("http", name, statistics.median(ratios), unit, at_least(target), detail)


def create(url: str, document_id: str) -> str:
    """Post a submodel of 4 KB; return its address."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    body = twins.submodel(document_id, SIZE)
    connection.request("POST", "/submodels", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 201:
        raise Unmeasurable(f"POST was answered with {answer.status}: {text.decode()}")
    return f"{url}/submodels/{urlsafe_b64encode(document_id.encode()).decode().rstrip('=')}"


def rate(url: str, seconds: int, *, clients: int = CLIENTS, script: Path | None = None) -> float:
    """Return requests a second by wrk; a failed request makes the figure worthless."""
    return clean(load.run(url, connections=clients, seconds=seconds, script=script))


def clean(seen: load.Rate) -> float:
    """Return the rate of a run in which nothing failed."""
    if seen.failed:
        raise Unmeasurable(f"{seen.failed} requests failed under load")
    return seen.per_s


class Posts:
    """POST runs, each with ids that no other run used."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._document = twins.submodel(twins.PLACEHOLDER, SIZE - 16)  # the id grows by 16 bytes
        self._started = 0

    def rate(self, url: str, *, beside: str | None = None) -> float:
        """Return posts a second, with 16 more clients that get `beside` meanwhile."""
        script = self.script()
        readers: Callable[[], load.Rate] | None = None
        if beside:  # a second longer than the posts, so that no post is without company
            process = load.start(beside, connections=READERS, seconds=self._run.seconds + 1)
            self._run.closing.callback(process.kill)
            readers = lambda: load.finish(process)  # noqa: E731
        posted = rate(f"{url}/submodels", self._run.seconds, script=script)
        if readers:
            clean(readers())
        return posted

    def script(self) -> Path:
        """Return a script for wrk whose ids are new."""
        self._started += 1
        return load.post_script(self._document, twins.PLACEHOLDER, f"urn:bench:{self._started:02d}:")
