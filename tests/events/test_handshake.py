"""Who may open a WebSocket: other sites' pages may not, programs and the server's own pages may."""

import pytest

from tests.support.websocket import UPGRADE
from titan.events.handshake import Accepted, Refusal, judge

HEADERS = {name.lower(): value for name, value in UPGRADE.items()} | {"host": "titan.example"}


def test_the_key_is_answered_as_the_standard_has_it():
    accepted = judge(HEADERS, ())
    assert isinstance(accepted, Accepted)
    assert ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") in accepted.headers  # RFC 6455, 1.3


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("titan.example", "https://titan.example"),  # behind a proxy that ends TLS
        ("titan.example", "http://titan.example"),
        ("Titan.Example:8080", "http://titan.example:8080"),
        ("titan.example:443", "https://titan.example"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("titan.example", "https://dashboard.example.com"),  # is named
    ],
)
def test_own_and_named_origins_may(host, origin):
    assert isinstance(judge(HEADERS | {"host": host, "origin": origin}, ["https://dashboard.example.com"]), Accepted)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("titan.example", "https://evil.example"),
        ("titan.example", "https://titan.example.evil.example"),
        ("titan.example", "https://titan.example@evil.example"),
        ("titan.example:8080", "http://titan.example"),
        ("titan.example", "http://titan.example:8080"),
        ("titan.example", "null"),
        ("titan.example", ""),
        ("", ""),
        ("", "null"),
        ("titan.example", "file://titan.example"),
        ("titan.example", "https://titan.example:99999"),
        ("titan.example", "https://[titan.example"),
        ("titan.example", "http://dashboard.example.com"),  # its https is named
        ("titan.example, evil.example", "https://evil.example"),
    ],
)
def test_all_others_may_not(host, origin):
    refused = judge(HEADERS | {"host": host, "origin": origin}, ["https://dashboard.example.com"])
    assert isinstance(refused, Refusal)
    assert refused.status == 403


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"upgrade": "h2c"}, 426),
        ({"upgrade": ""}, 426),
        ({"connection": "keep-alive"}, 426),
        ({"sec-websocket-version": "8"}, 426),
        ({"sec-websocket-version": "13, 8"}, 426),
        ({"sec-websocket-key": ""}, 400),
        ({"sec-websocket-key": "dG9vIHNob3J0"}, 400),
        ({"sec-websocket-key": "no base64!"}, 400),
        ({"sec-websocket-key": "é" * 24}, 400),
        ({"sec-websocket-key": UPGRADE["Sec-WebSocket-Key"] * 2}, 400),
    ],
)
def test_what_is_no_handshake_is_refused(changed, status):
    refused = judge(HEADERS | changed, ())
    assert isinstance(refused, Refusal)
    assert refused.status == status


def test_words_may_stand_in_lists_and_in_any_case():
    assert isinstance(judge(HEADERS | {"upgrade": "WebSocket", "connection": "keep-alive, Upgrade"}, ()), Accepted)
