"""Who is worth a place in a cache: a document that was asked for before, of late.

Documents that are read once would push out those that are read often, and reading them from the primary, which is what
fills caches, would be the primary's work for nothing. So a first miss may be answered by a replica, which fills none.
"""

REMEMBERED = 20_000
"""So many other documents may be missed before one is forgotten, and at the most twice as many; about 3 MB."""


class Doorkeeper:
    """Remembers the keys of late misses, in two generations: a full one takes the place of the one before it."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()

    def has_seen(self, key: bytes) -> bool:
        """Say whether it has seen this one before, and remember it."""
        if key in self._new:
            return True
        is_known = key in self._old
        if len(self._new) >= self._remembered:
            self._old, self._new = self._new, set()
        self._new.add(key)
        return is_known
