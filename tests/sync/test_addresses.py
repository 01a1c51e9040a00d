"""Which addresses may be connected to, and by which face an address is judged."""

import ipaddress

import pytest

from titan.sync.addresses import Allowed

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "169.254.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


def fault(allowed: Allowed, text: str) -> str | None:
    return allowed.address_fault(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_without_a_list_what_is_not_public_is_refused(text):
    assert "is not a public address" in (fault(Allowed(), text) or "")


@pytest.mark.parametrize("text", PUBLIC)
def test_without_a_list_what_is_public_is_allowed(text):
    assert fault(Allowed(), text) is None


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("10.20.0.1", True),
        ("::ffff:10.20.0.1", True),
        ("10.21.0.1", False),
        ("1.1.1.1", False),
        ("127.0.0.1", False),
        ("fd00::1", True),
        ("fd01::1", False),
    ],
)
def test_with_a_list_only_what_is_on_it(text, is_allowed):
    allowed = Allowed((ipaddress.ip_network("10.20.0.0/16"), ipaddress.ip_network("fd00::/32")))
    assert (fault(allowed, text) is None) is is_allowed


def test_hosts_are_compared_without_case():
    allowed = Allowed(hosts=frozenset({"aas.example"}))
    assert allowed.host_fault("AAS.example") is None
    assert allowed.host_fault("aas.example.evil.example") is not None
    assert Allowed().host_fault("anything") is None
