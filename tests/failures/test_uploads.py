"""What ends an upload in its middle leaves nothing behind: a client that goes, a server that is killed."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.blobs.support import MIB, begin_upload, files, get, post_shell, put
from tests.support.forms import PNG
from tests.support.server import Server
from titan.store.sqlite.check import findings


def wait(condition: Callable[[], bool], what: str, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.01)


def test_a_client_that_leaves_in_the_middle_leaves_nothing(embedded):
    with embedded.serving() as server:
        folder = embedded.folder / "a"
        post_shell(server)
        for _ in range(5):
            connection = begin_upload(server, 4 * MIB, 2 * MIB)
            wait(lambda: bool(files(folder)), "the begin of the upload")
            connection.close()
            wait(lambda: not files(folder), "the end of what was broken off")
        assert get(server).status_code == 404
        assert put(server, PNG).status_code == 204


def test_a_client_that_leaves_in_the_middle_leaves_no_row(shared, postgres):
    def rows() -> str:
        return str(postgres.psql("SELECT count(*) FROM titan_blob", shared.database))

    with shared.serving() as server:
        post_shell(server)
        connection = begin_upload(server, 4 * MIB, 2 * MIB)
        wait(lambda: rows() == "1", "the begin of the upload")
        connection.close()
        wait(lambda: rows() == "0", "the end of what was broken off")


KILLS = 10


def test_a_server_killed_in_the_middle_leaves_the_old_thumbnail_and_nothing_else(embedded):
    """Killed while the file comes, or in the last steps, when all of it is there."""
    folder = embedded.folder / "a"
    before = PNG
    for kill in range(KILLS):
        with embedded.serving() as server:
            if kill == 0:
                post_shell(server)
                assert put(server, before).status_code == 204
            before = look_around(server, folder, before)
            if kill % 2:
                connection = begin_upload(server, 4 * MIB, 4 * MIB)
                connection.sendall(b"\r\n------a-boundary--\r\n")
                time.sleep(kill * 0.002)  # somewhere in the last steps, or after them
            else:
                connection = begin_upload(server, 4 * MIB, (kill + 1) * MIB // 4)
                wait(lambda: any(path.parent.name == "part" for path in files(folder)), "the begin of the upload")
            with connection:
                server.kill()
                server.wait()
    with embedded.serving() as server:
        look_around(server, folder, before)
        assert put(server, b"again").status_code == 204
        assert get(server).content == b"again"


def look_around(server: Server, folder: Path, before: bytes) -> bytes:
    """See that the thumbnail is the one from before or the whole new one, and that nothing lies about."""
    now = get(server)
    assert now.status_code == 200
    assert now.content == before or len(now.content) == 4 * MIB
    assert not any(path.parent.name == "part" for path in files(folder))
    assert list(findings(folder / "titan.db")) == []
    return now.content


def test_an_instance_killed_in_the_middle_leaves_what_a_sweep_knows(shared, postgres):
    with shared.serving("a") as a, shared.serving("b") as b:
        post_shell(b)
        assert put(b, PNG).status_code == 204
        with closing(begin_upload(a, 4 * MIB, 2 * MIB)):
            wait(
                lambda: postgres.psql("SELECT count(*) FROM titan_blob", shared.database) == "2",
                "the begin of the upload",
            )
            a.kill()
            a.wait()
        assert get(b).content == PNG
        assert postgres.psql("SELECT count(*) FROM titan_blob WHERE state = 0", shared.database) == "1"


def test_a_drain_ends_an_upload_that_does_not_end_by_itself_and_leaves_nothing(embedded):
    with embedded.serving() as server:
        folder = embedded.folder / "a"
        post_shell(server)
        with begin_upload(server, 4 * MIB, 2 * MIB):
            wait(lambda: bool(files(folder)), "the begin of the upload")
            server.terminate()
            assert server.wait() == 0
        assert files(folder) == []
