"""Files are swept while clients upload and commands import: what is on its way, or named in the end, is never removed.

The sweeps are the task's own function, one after the other without pause, in a process beside the server, with a grace
of seconds where the setting allows no less than ten minutes. Control: with no grace at all the same test finds losses.
"""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import trio

from tests.blobs.support import get, post_shell, put
from tests.support.client import url
from tests.support.fenced import fence
from tests.support.places import Place
from tests.support.server import ROOT, Server, clean_environment
from tests.support.waiting import wait_until
from titan.cli.transfer.stores import writing
from titan.store.postgres.url import parse
from titan.tasks.blob_cleanup import blob_cleanup
from titan.tasks.task import Run

GRACE_S = 3.0
PIECE = 300_000
"""More than an upload gathers before it writes: each piece is seen to move."""
SLOW_PIECES = 12
PAUSE_S = 0.5
LASTS_S = 6.0


class Sweeper:
    """Sweeps without pause in a thread of its own until it is stopped."""

    def __init__(self, place: Place, grace_s: float) -> None:
        self._place = parse(place.database_url) if place.database_url else place.folder / "a" / "titan.db"
        self._grace_s = grace_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))
        self.sweeps = 0
        self.removed = 0

    async def _run(self) -> None:
        async with writing(self._place) as store:
            term = await fence(store, "test-sweeper")
            while not self._stop.is_set():
                done = await blob_cleanup(Run(store, term, round(time.time() * 1000)), grace_s=self._grace_s)
                self.removed += int(done.detail.split()[0])
                self.sweeps += 1
                await trio.sleep(0.01)

    @contextmanager
    def running(self) -> Iterator["Sweeper"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(30)


def upload_until(server: Server, ends: float, identifier: str, problems: list[str], kept: dict[str, bytes]) -> None:
    """Replace a shell's thumbnail again and again; after each one it must be the newest."""
    for number in itertools.count():
        if time.monotonic() > ends:
            return
        content = os.urandom(1000 + 400_000 * (number % 2))
        answer = put(server, content, identifier)
        if answer.status_code == 204:
            kept[identifier] = content
            if get(server, identifier).content != content:
                problems.append(f"{identifier}: number {number} was acknowledged and is not there")
        else:
            problems.append(f"{identifier}: {answer.status_code}")


def upload_slowly(server: Server, identifier: str, problems: list[str], kept: dict[str, bytes]) -> None:
    """Take several times the grace for one upload."""
    pieces = [os.urandom(PIECE) for _ in range(SLOW_PIECES)]

    def paced() -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            time.sleep(PAUSE_S)

    answer = put(server, paced(), identifier)
    if answer.status_code != 204:
        problems.append(f"{identifier}: {answer.status_code} {answer.text}")
    kept[identifier] = b"".join(pieces)


def race(place: Place, grace_s: float) -> tuple[list[str], Sweeper]:
    """Upload beside sweeps; return what was lost or refused."""
    problems: list[str] = []
    kept: dict[str, bytes] = {}
    with place.serving() as server, Sweeper(place, grace_s).running() as sweeper:
        for identifier in ("fast-1", "fast-2", "fast-3", "slow-1", "slow-2"):
            post_shell(server, identifier)
        ends = time.monotonic() + LASTS_S
        threads = [
            threading.Thread(target=upload_until, args=(server, ends, name, problems, kept))
            for name in ("fast-1", "fast-2", "fast-3")
        ]
        threads += [
            threading.Thread(target=upload_slowly, args=(server, name, problems, kept)) for name in ("slow-1", "slow-2")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        wait_until(lambda: sweeper.removed > 10, within_s=15, what="the sweep of what was replaced")
        for identifier, content in kept.items():
            found = get(server, identifier)
            if (found.status_code, found.content) != (200, content):
                problems.append(f"{identifier}: {found.status_code} in the end")
    return problems, sweeper


def test_no_upload_loses_to_a_sweep(place):
    problems, sweeper = race(place, GRACE_S)
    assert problems == []
    assert sweeper.sweeps > 50


def test_control_without_a_grace_uploads_do_lose(place):
    """The sweeps meet uploads at every point: the test above would see it."""
    problems, _ = race(place, -60.0)
    assert problems != []


def test_an_import_that_names_files_again_loses_none_to_a_sweep(place, tmp_path):
    """A file is loose between the delete of its document and the import that names it again."""
    names = [f"urn:shell:{number}" for number in range(12)]
    with place.serving() as server:
        contents = {}
        for name in names:
            post_shell(server, name)
            contents[name] = os.urandom(2000)
            assert put(server, contents[name], name).status_code == 204
        environment = tmp_path / "shells.json"
        shells = httpx.get(f"{server.url}/shells", params={"limit": "1000"}).json()["result"]
        environment.write_text(json.dumps({"assetAdministrationShells": shells}))
        grace_s = 8.0
        with Sweeper(place, grace_s).running() as sweeper:
            before = sweeper.sweeps
            for name in names:
                delete(server, name)
            import_(environment, place)
            wait_until(lambda: sweeper.sweeps > before + 20, within_s=20, what="sweeps beside the import")
            assert sweeper.removed == 0
            assert {name: get(server, name).content for name in names} == contents
            delete(server, names[0])  # and what stays loose is removed, once its grace is over
            wait_until(lambda: sweeper.removed == 1, within_s=grace_s + 10, what="the sweep of a loose file")
        assert {name: get(server, name).content for name in names[1:]} == {name: contents[name] for name in names[1:]}


def delete(server: Server, identifier: str) -> None:
    httpx.delete(server.url + url("/shells", identifier)).raise_for_status()


def import_(file: Path, place: Place) -> None:
    own = {"TITAN_DATA_DIR": str(place.folder / "a")}
    if place.database_url:
        own["DATABASE_URL"] = place.database_url
    subprocess.run(
        [sys.executable, "-m", "titan", "import", str(file)],
        env=clean_environment(own),
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=True,
    )
