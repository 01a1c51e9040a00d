"""Who is one client, and how much is kept of how many."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.security.clients import MAX_CLIENTS, Clients, client_of


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", "unknown"),
        ("a client's own words", "unknown"),
    ],
)
def test_what_an_address_counts_as(address, client):
    assert client_of(address) == client


@given(st.text() | st.ip_addresses().map(str))
def test_whatever_it_is_it_is_short_and_plain(address):
    client = client_of(address)
    assert len(client) <= 43
    assert client.isascii()
    assert client.isprintable()
    assert " " not in client


def test_what_is_kept_is_found_until_the_quota_is_whole():
    clients = Clients()
    clients.keep("a", 60_000_000, 0)
    clients.keep("b", 61_000_000, 60_900_000)
    assert clients.whole_at_us("a") == 60_000_000
    assert clients.whole_at_us("c") == 0


def test_who_stays_away_is_forgotten():
    clients = Clients()
    for minute in range(5):
        clients.keep(f"{minute}", 1, minute * 62_000_000)
    assert len(clients) == 2


def test_nobody_is_forgotten_before_the_quota_is_whole_however_the_minutes_fall():
    clients = Clients()
    clients.keep("a", 61_000_000, 0)
    for half_s in range(1, 122):
        clients.keep("b", 1, half_s * 500_000)
        assert clients.whole_at_us("a") == 61_000_000
        if half_s == 60:
            clients.keep("c", 91_000_000, 30_000_000)
    for half_s in range(122, 182):
        clients.keep("b", 1, half_s * 500_000)
        assert clients.whole_at_us("c") == 91_000_000


def test_a_flood_of_addresses_fills_neither_the_memory_nor_wipes_out_who_goes_on_asking():
    clients = Clients()
    tracemalloc.start()
    try:
        for n in range(3 * MAX_CLIENTS):
            clients.keep(f"2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::/64", n + 1, n)
            if n % 1000 == 0:
                assert n == 0 or clients.whole_at_us("192.0.2.1") == 7
                clients.keep("192.0.2.1", 7, n)
            assert len(clients) <= MAX_CLIENTS
        taken_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(clients) >= MAX_CLIENTS // 2
    assert taken_bytes < 8 * 1024 * 1024


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30_000_000)), max_size=100))
def test_without_a_flood_nothing_is_forgotten_before_its_time(steps):
    clients, now_us = Clients(), 0
    told: dict[str, int] = {}
    for client, pause_us in steps:
        now_us += pause_us
        known = clients.whole_at_us(client)
        assert max(known, now_us) == max(told.get(client, 0), now_us)
        told[client] = now_us + 61_000_000
        clients.keep(client, told[client], now_us)
