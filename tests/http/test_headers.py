"""Small decisions about single headers."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.http.headers import as_mapping, asks_for_timing, client_address, request_id, traceparent

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("6.6.6.6", "1.1.1.1", "6.6.6.6"),  # the peer is no proxy of ours: its word is worth nothing
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "9.9.9.9, 1.1.1.1", "1.1.1.1"),  # 9.9.9.9 is what the client claimed
        ("10.0.0.1", "1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, <script>", "10.0.0.1"),
        ("", "1.1.1.1", ""),
    ],
)
def test_the_client_behind_trusted_proxies(peer, forwarded, client):
    assert client_address(peer, {"x-forwarded-for": forwarded}, TRUSTED) == client


def test_without_trusted_proxies_the_peer_is_the_client():
    assert client_address("10.0.0.1", {"x-forwarded-for": "1.1.1.1"}, ()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("given_value", "taken"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-future", True),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", False),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", False),
        ("garbage", False),
        ("00-" + "a" * 4000, False),
    ],
)
def test_a_trace_context_is_taken_if_well_formed(given_value, taken):
    assert traceparent({"traceparent": given_value}) == (given_value if taken else None)


@given(st.text())
def test_any_request_id_gives_one_that_fits(text):
    found = request_id({"x-request-id": text})
    assert 1 <= len(found) <= 128
    assert found.isascii()
    assert found.isprintable()


def test_repeated_headers_are_joined():
    raw = [(b"if-match", b'"1"'), (b"accept", b"*/*"), (b"if-match", b'"2"')]
    assert as_mapping(raw) == {"if-match": '"1", "2"', "accept": "*/*"}


@pytest.mark.parametrize(
    ("prefer", "asked"),
    [
        ("server-timing", True),
        ("wait=10, Server-Timing", True),
        ("no-server-timing", False),
        ("x=server-timings", False),
    ],
)
def test_server_timing_is_a_preference(prefer, asked):
    assert asks_for_timing({"prefer": prefer}) is asked
    assert asks_for_timing({}) is False
