"""Entity tags and preconditions (RFC 9110 sections 8.8.3 and 13).

The tag of a document is its revision. It is the same for every value of `level` and `extent`: these stand in the URI,
so each variant is a resource of its own, and a tag says nothing across resources (RFC 9110 8.8.3). That lets a client
read any variant and write the document with the tag it got. A content coding is not in the URI; the HTTP layer marks
the tag of a compressed answer with a suffix (`"7-gzip"`), which is understood here.

`If-Unmodified-Since` counts where `If-Match` is absent, in whole seconds as HTTP has it. `If-Modified-Since` is not
read, as RFC 9110 allows: two changes within one second look the same to it, and the second would stay unseen.
"""

import re
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

from titan.store.contract import IfMatch, IfNoneMatch, Precondition

CODING_SUFFIXES = ("gzip", "zstd", "br")
"""What may follow the revision in the tag of a compressed answer."""

NO_REVISION = -1
"""Stands for tags that no document of ours can have; a list of only such tags must not become the empty list, which
means `*`."""

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_LIST = re.compile(rf"(?:[ \t]*,)*[ \t]*{_TAG.pattern}[ \t]*(?:,[ \t]*(?:{_TAG.pattern}[ \t]*)?)*")
_REVISION = re.compile(rf"([1-9][0-9]{{0,18}})(?:-(?:{'|'.join(CODING_SUFFIXES)}))?")


def etag(revision: int) -> str:
    """Return the strong entity tag of a revision."""
    return f'"{revision}"'


@dataclass(frozen=True, slots=True)
class Conditions:
    """The preconditions of a request: revisions named, an empty tuple for `*`, None where the field is absent."""

    match: tuple[int, ...] | None = None
    none_match: tuple[int, ...] | None = None
    unmodified_since_s: int | None = None
    """Seconds since the epoch; None also where `match` is there, which goes first."""

    def for_write(self) -> Precondition | None:
        """Return what the store compares in the step of the write."""
        if self.match is None:
            return None if self.none_match is None else IfNoneMatch(self.none_match)
        if self.none_match is None:
            return IfMatch(self.match)
        left = tuple(revision for revision in self.match if self.none_match and revision not in self.none_match)
        return IfMatch(left or (NO_REVISION,))

    def not_modified(self, revision: int) -> bool:
        """Say whether the client has this revision already (GET, 304)."""
        return self.none_match is not None and (not self.none_match or revision in self.none_match)

    def failed(self, revision: int, modified_ms: int) -> bool:
        """Say whether `If-Match` or `If-Unmodified-Since` excludes this state of the document."""
        if self.match is not None:
            return bool(self.match) and revision not in self.match
        return self.unmodified_since_s is not None and modified_ms // 1000 > self.unmodified_since_s

    def bound_to(self, revision: int | None) -> "Conditions":
        """Return the conditions of a write that is to meet the state that was read: this revision, None for absence."""
        if revision is None:
            return replace(self, none_match=())
        return replace(self, match=(revision,))


NO_CONDITIONS = Conditions()


@dataclass(frozen=True, slots=True)
class MalformedCondition:
    """Which field is wrong and how."""

    reason: str


def read_conditions(
    if_match: str | None, if_none_match: str | None, if_unmodified_since: str | None = None
) -> Conditions | MalformedCondition:
    """Read `If-Match` (strong comparison), `If-None-Match` (weak comparison) and `If-Unmodified-Since`."""
    match = _revisions(if_match, weak=False)
    if isinstance(match, str):
        return MalformedCondition(f"If-Match {match}")
    none_match = _revisions(if_none_match, weak=True)
    if isinstance(none_match, str):
        return MalformedCondition(f"If-None-Match {none_match}")
    if match == () and none_match:
        return MalformedCondition("If-Match: * together with a list in If-None-Match is not supported")
    since = None if match is not None or if_unmodified_since is None else _seconds(if_unmodified_since)
    return Conditions(match, none_match, since)


def _seconds(field: str) -> int | None:
    """Read an HTTP date; what is none is ignored, as RFC 9110 13.1.4 demands."""
    try:
        return int(parsedate_to_datetime(field).timestamp())
    except (ValueError, OverflowError):
        return None


def _revisions(field: str | None, *, weak: bool) -> tuple[int, ...] | str | None:
    if field is None:
        return None
    if field.strip(" \t") == "*":
        return ()
    if not _LIST.fullmatch(field):
        return 'is neither * nor a list of entity tags such as "7"'
    found = []
    for prefix, opaque in _TAG.findall(field):
        revision = _REVISION.fullmatch(opaque)
        comparable = revision is not None and (weak or not prefix)
        found.append(int(revision[1]) if revision is not None and comparable else NO_REVISION)
    return tuple(found)
