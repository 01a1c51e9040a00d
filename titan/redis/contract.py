"""What users of Redis know of it, without its driver: commands, scripts, and the two ways in which a call fails."""

from hashlib import sha1
from typing import Any, Protocol

Word = bytes | str | int | float
"""What a command is made of."""


class RedisAway(Exception):
    """Redis cannot be used now; the caller goes on without it. What the call had begun may or may not have happened."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RedisRefused(Exception):
    """Redis is there and refused a command: a wrong type under the key, no memory left, no right. It did not happen."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unreachable(Exception):
    """No server could be had that serves; the text says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Script:
    """A Lua script on one key, `KEYS[1]`, so that it runs on a Cluster too; sent once per server, then named."""

    __slots__ = ("digest", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


class Commands(Protocol):
    """What a function that runs on the island may do. Commands that run at the same time share one round trip.

    Not guaranteed: anything across two commands; others' come in between. Commands that block, and those that change
    the connection (MULTI, SELECT, SUBSCRIBE), are wrong here: everybody shares it.
    """

    async def execute_command(self, *command: Word) -> Any:
        """Run one command; its key, if it has one, is the first word after its name. Texts of answers are bytes."""

    async def run_script(self, script: Script, key: bytes | str, *args: Word) -> Any:
        """Run a script; what it answers, texts as bytes."""
