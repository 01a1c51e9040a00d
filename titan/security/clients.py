"""Who counts as one client, and what is kept of each in this process' memory."""

from ipaddress import IPv6Address, ip_address

from titan.security.quota import LONGEST_US

MAX_CLIENTS = 32_768
"""About 6 MB. A /48, which every customer of a provider may have, holds 65,536 networks that count as one client."""

NOWHERE = "unknown"


def client_of(address: str) -> str:
    """Return what an address counts as: itself, for IPv6 its /64 (RFC 6177: one subscriber has at least that).

    An IPv4 address in IPv6's clothes is the IPv4 address; what is no address counts as one client altogether.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return NOWHERE
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> 64 << 64)}/64"


class Clients:
    """When each client's quota is whole again, for at most `max_clients` of them; a client unknown has it whole.

    Two tables: what is asked for or kept goes into the newer one. Once that is full, or a minute old, it becomes the
    older one, and what was there is forgotten. Nobody's quota takes longer than that to be whole, so nothing is lost
    but to a flood of addresses; then whoever goes on asking is still known, and each step costs the same.
    """

    def __init__(self, max_clients: int = MAX_CLIENTS) -> None:
        self._max_each = max_clients // 2
        self._newer: dict[str, int] = {}
        self._older: dict[str, int] = {}
        self._turned_us = 0

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def whole_at_us(self, client: str) -> int:
        """Return when this client's quota is whole; 0 where nothing is known of it."""
        found = self._newer.get(client)
        return self._older.get(client, 0) if found is None else found

    def keep(self, client: str, whole_at_us: int, now_us: int) -> None:
        """Keep it until its quota is whole, at least while the client goes on asking."""
        is_new = client not in self._newer
        if (is_new and len(self._newer) >= self._max_each) or now_us - self._turned_us > LONGEST_US:
            self._older, self._newer, self._turned_us = self._newer, {}, now_us
        self._newer[client] = whole_at_us
