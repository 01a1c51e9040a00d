"""Listening: what cannot be had is said in words."""

import resource
import socket
from collections.abc import Iterable

import pytest

from titan.http import sockets
from titan.http.sockets import BindFailed, affordable_connections, listen


def close(opened: Iterable[socket.socket]) -> None:
    for sock in opened:
        sock.close()


def test_a_port_that_is_taken():
    taken = listen("127.0.0.1", 0)
    port = taken[0].getsockname()[1]
    try:
        with pytest.raises(BindFailed, match=f"127.0.0.1:{port}: another process listens there"):
            listen("127.0.0.1", port)
    finally:
        close(taken)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", r"192\.0\.2\.1:0: this machine does not have that address"),
        ("2001:db8::1", r"\[2001:db8::1\]:0: "),
        ("no-such-host.invalid", "does not resolve"),
    ],
)
def test_an_address_that_cannot_be_had(host, reason):
    with pytest.raises(BindFailed, match=reason):
        listen(host, 0)


def test_a_name_with_two_addresses_gets_the_same_port_on_both(monkeypatch):
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_args, **_options: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        ],
    )
    opened = listen("localhost", 0)
    try:
        assert [sock.getsockname()[0] for sock in opened] == ["127.0.0.1", "::1"]
        assert len({sock.getsockname()[1] for sock in opened}) == 1
    finally:
        close(opened)


def test_where_one_address_fails_none_stays_open(monkeypatch):
    opened: list[socket.socket] = []

    def first_only(family, address):
        if opened:
            raise OSError(98, "taken")
        opened.append(socket.socket(family, socket.SOCK_STREAM))
        return opened[0]

    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_args, **_options: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 1)),
        ],
    )
    monkeypatch.setattr(sockets, "_listen", first_only)
    opened_before = opened
    with pytest.raises(BindFailed):
        listen("both", 1)
    assert opened_before[0].fileno() == -1


def test_connections_leave_descriptors_for_the_rest_of_the_process(monkeypatch):
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < affordable_connections() < soft - sockets.RESERVED_DESCRIPTORS
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert affordable_connections() > 1_000_000
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (10, 10))
    assert affordable_connections() == 1
