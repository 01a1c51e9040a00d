"""Waiting for a condition in real time, with a deadline: never a sleep for luck."""

import time
from collections.abc import Callable

import trio


async def until(condition: Callable[[], bool], *, within_s: float = 10.0, what: str = "the condition") -> None:
    """Return as soon as `condition()` is true; fail the test after `within_s`."""
    with trio.move_on_after(within_s):
        while not condition():  # noqa: ASYNC110 (what is waited for is often outside this process)
            await trio.sleep(0.005)
        return
    raise AssertionError(f"{what} did not come true within {within_s:g} s")


def wait_until(condition: Callable[[], object], *, within_s: float = 10.0, what: str = "the condition") -> None:
    """Do the same where there is no loop: block until `condition()` holds; fail the test after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {within_s:g} s"
        time.sleep(0.005)
