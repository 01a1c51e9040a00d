"""Where a connection may go: a decision about an address, made after a name was resolved and before anything is sent.

By default to every public address and to no other: not to this machine, not to private or link-local networks, and so
not to a cloud's metadata service. With a list only to what is on it. An IPv6 address that stands for an IPv4 one is
judged as that.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""NAT64 (RFC 6052): the last 32 bits are the IPv4 address that is reached."""
_OF_THE_SITE = (ipaddress.IPv6Network("fec0::/10"), ipaddress.IPv6Network("64:ff9b:1::/48"))
"""Not public, whatever the library says: site-local (RFC 3879), NAT64 of the network's own (RFC 8215)."""
_COMPATIBLE = ipaddress.IPv6Network("::/96")
"""IPv4-compatible addresses (RFC 4291 2.5.5.1): out of use, and still taken for IPv4 here and there."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be connected to."""

    networks: tuple[Network, ...] = ()
    """Empty: every public address."""
    hosts: frozenset[str] = frozenset()
    """Names or addresses as they stand in a URL, in lower case; empty: any."""

    def host_fault(self, host: str) -> str | None:
        """Say why a URL's host may not be asked, None where it may."""
        if self.hosts and host.lower() not in self.hosts:
            return f"{host} is not in sync.allowed_hosts"
        return None

    def address_fault(self, address: Address) -> str | None:
        """Say why an address may not be connected to, None where it may."""
        faces = list(faces_of(address))
        if self.networks:
            if any(face.version == network.version and face in network for face in faces for network in self.networks):
                return None
            return f"{address} is not in sync.allowed_networks"
        if all(map(is_public, faces)):
            return None
        return f"{address} is not a public address; sync.allowed_networks can allow it"


def faces_of(address: Address) -> Iterator[Address]:
    """Yield the address by which it has to be judged: the IPv4 one where it stands for one, and both where it may."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    embedded = _embedded(address)
    if address.ipv4_mapped is None and address not in _TRANSLATED:
        yield address
    if embedded is not None:
        yield embedded


def is_public(address: Address) -> bool:
    """Say whether an address is one of the internet's, for one receiver."""
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        return False
    return address.is_global and not any(address in network for network in _OF_THE_SITE)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _TRANSLATED or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
