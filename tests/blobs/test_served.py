"""Thumbnails on the real server, by real clients, on either store."""

import hashlib
import subprocess
from collections.abc import Iterator

import httpx

from tests.blobs.support import MIB, begin_upload, files, get, noise, peak_bytes, post_shell, put, reset_peak, thumbnail
from tests.support.forms import PNG

FLAT_BYTES = 24 * 1000 * 1000
LARGE_MIB = 64


def test_curl_puts_and_gets_a_picture(place, tmp_path):
    picture = tmp_path / "pump.png"
    picture.write_bytes(PNG)
    with place.serving() as server:
        post_shell(server)
        target = server.url + thumbnail()
        sent = subprocess.run(
            [
                "curl",
                "-sS",
                "-i",
                "-X",
                "PUT",
                "-F",
                "fileName=Pumpe Ü.png",
                "-F",
                f"file=@{picture};type=image/png",
                target,
            ],
            capture_output=True,
            check=True,
        )
        assert sent.stdout.startswith(b"HTTP/1.1 204 ")
        subprocess.run(["curl", "-sS", "-D", "head", "-OJ", target], check=True, cwd=tmp_path)
        head = (tmp_path / "head").read_bytes().lower()
        for line in (
            b"content-type: image/png",
            b"content-length: %d" % len(PNG),
            b"x-content-type-options: nosniff",
            b"accept-ranges: none",
            b"etag: ",
            b"content-disposition: inline; filename=\"pumpe _.png\"; filename*=utf-8''pumpe%20%c3%9c.png",
        ):
            assert line in head
        assert (tmp_path / "Pumpe _.png").read_bytes() == PNG
        gone = subprocess.run(["curl", "-sS", "-i", "-X", "DELETE", target], capture_output=True, check=True)
        assert gone.stdout.startswith(b"HTTP/1.1 204 ")
        assert get(server).status_code == 404


def test_a_large_file_goes_through_in_little_memory_both_ways(place):
    """64 MiB up and down; what is measured is the kernel's own peak of every process of the server."""
    with place.serving() as server:
        post_shell(server)
        assert put(server, bytes(2 * MIB)).status_code == 204  # what is loaded and sized on first use is there now
        assert len(get(server).content) == 2 * MIB
        reset_peak(server)
        before = peak_bytes(server)
        sent, came = hashlib.sha256(), hashlib.sha256()

        def content() -> Iterator[bytes]:
            for piece in noise(LARGE_MIB):
                sent.update(piece)
                yield piece

        assert put(server, content()).status_code == 204
        up = peak_bytes(server) - before
        with httpx.stream("GET", server.url + thumbnail(), timeout=60) as answer:
            assert answer.headers["content-length"] == str(LARGE_MIB * MIB)
            assert answer.headers["content-disposition"].startswith("attachment")
            for piece in answer.iter_raw():
                came.update(piece)
        both = peak_bytes(server) - before
        print(f"memory: +{up / 1e6:.1f} MB up, +{both / 1e6:.1f} MB up and down")
        assert came.digest() == sent.digest()
        assert both <= FLAT_BYTES


def test_a_slow_upload_holds_up_nobody(place):
    with place.serving() as server:
        post_shell(server)
        post_shell(server, "other")
        with begin_upload(server, MIB, MIB // 2) as slow:
            assert put(server, PNG, "other").status_code == 204
            assert get(server, "other").content == PNG
            assert httpx.get(f"{server.url}/shells").status_code == 200
            slow.sendall(bytes(MIB - MIB // 2) + b"\r\n------a-boundary--\r\n")
            assert slow.recv(100).startswith(b"HTTP/1.1 204 ")
        assert len(get(server).content) == MIB


def test_what_is_uploaded_at_one_instance_is_downloaded_at_every_other(shared):
    with shared.serving("a") as a, shared.serving("b") as b:
        post_shell(a)
        put_at_a = put(a, noise(3))
        assert put_at_a.status_code == 204
        at_b = get(b)
        assert at_b.content == b"".join(noise_like(at_b.content, 3))
        assert at_b.headers["etag"] == put_at_a.headers["etag"]
        assert put(b, PNG).status_code == 204
        assert get(a).content == PNG
        assert httpx.delete(a.url + thumbnail()).status_code == 204
        assert get(b).status_code == 404


def noise_like(content: bytes, mib: int):
    """What `noise` gave, told from its first piece."""
    for number in range(mib):
        yield number.to_bytes(4) + content[4:MIB]


def test_a_thumbnail_outlives_a_restart(place):
    with place.serving() as server:
        post_shell(server)
        tag = put(server, PNG).headers["etag"]
    with place.serving() as server:
        got = get(server)
        assert (got.content, got.headers["etag"]) == (PNG, tag)


def test_the_limit_is_a_setting_and_met_early(place):
    with place.serving(TITAN_HTTP__MAX_FILE_BYTES="100000") as server:
        post_shell(server)
        assert put(server, bytes(100_000)).status_code == 204
        refused = put(server, bytes(100_001))
        assert refused.status_code == 413
        assert "100000 bytes" in refused.text
        with begin_upload(server, 1 << 30, 0) as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_files_are_the_owners_alone(embedded):
    with embedded.serving() as server:
        post_shell(server)
        put(server, PNG)
        (file,) = files(embedded.folder / "a")
        assert file.read_bytes() == PNG
        assert file.stat().st_mode & 0o777 == 0o600
