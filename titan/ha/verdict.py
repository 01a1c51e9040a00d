"""What is answered to one item of the checklist."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """One of three answers; what was not seen is never a pass."""

    PASS = "pass"  # noqa: S105  (an answer, no password)
    FAIL = "fail"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, what it rests on, and what to do; nothing where it passes."""

    verdict: Verdict
    reason: str
    to_do: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the checklist with its answer."""

    name: str
    asked: str
    """In the guide's words."""
    answer: Answer


def passes(reason: str) -> Answer:
    """Say that all is as the guide wants it."""
    return Answer(Verdict.PASS, reason)


def fails(reason: str, to_do: str) -> Answer:
    """Say that it was looked at, and is not so."""
    return Answer(Verdict.FAIL, reason, to_do)


def cannot_tell(reason: str, to_do: str) -> Answer:
    """Say that it could not be looked at."""
    return Answer(Verdict.CANNOT_TELL, reason, to_do)
