"""How Redis stands as an installation: what watches it, what could take over. Asked once, by a command."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from redis import exceptions

from titan.redis.contract import Unreachable
from titan.redis.dialing import Dialer
from titan.redis.errors import words
from titan.redis.limits import Limits
from titan.redis.line import Line
from titan.redis.route import Lines, parse_info
from titan.redis.tls import Tls
from titan.redis.url import Address, Mode, RedisUrl

_LIMITS = Limits(timeout_s=2.0, connect_s=2.0)
_UNWELL = frozenset({"s_down", "o_down", "disconnected", "fail", "fail?", "handshake", "noaddr"})
"""Flags of a server that could not take over."""


@dataclass(frozen=True, slots=True)
class Single:
    """One server."""

    replicas: int
    """That follow it; nobody promotes them."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A master with the Sentinels that watch it, as the first one that answered sees it."""

    answered: int
    """How many Sentinels of the URL answered."""
    asked: int
    sentinels: int
    """That know of each other."""
    quorum: int
    replicas: int
    """That could be promoted now."""
    trouble: str | None
    """Why they could not fail over now, in their own words; None: they could."""


@dataclass(frozen=True, slots=True)
class Clustered:
    """The nodes of a cluster, as one of them sees it."""

    state: str
    masters: int
    """That have slots."""
    without_replica: tuple[str, ...]
    """Masters, by address, whose loss nobody would make good."""


Standing = Single | Watched | Clustered


def standing(url: RedisUrl, *, tls: Tls | None, within_s: float) -> Standing:
    """Ask Redis, blocking. Raises `Unreachable` with the reason in one line."""
    return asyncio.run(_in_time(url, tls, within_s))


async def _in_time(url: RedisUrl, tls: Tls | None, within_s: float) -> Standing:
    try:
        async with asyncio.timeout(within_s):
            return await _look(url, tls)
    except TimeoutError as error:
        raise Unreachable(f"no answer within {within_s:g} s") from error
    except exceptions.ResponseError as error:
        raise Unreachable(f"refused: {words(error)}") from error
    except (KeyError, ValueError) as error:
        raise Unreachable("what answers is no Redis") from error


async def _look(url: RedisUrl, tls: Tls | None) -> Standing:
    servers = Lines(Dialer(url.login, url.database, _LIMITS, tls), _LIMITS, lambda _: None)
    match url.mode:
        case Mode.SINGLE:
            return await _ask(servers, url.addresses[0], _single)
        case Mode.SENTINEL:
            sentinels = Lines(Dialer(url.sentinel_login, 0, _LIMITS, tls), _LIMITS, lambda _: None)
            return await _watched(sentinels, url.addresses, url.master)
        case Mode.CLUSTER:
            return await _clustered(servers, url.addresses)
    assert_never(url.mode)


async def _ask(lines: Lines, address: Address, question: "Callable[[Lines, Line], Awaitable[Standing]]") -> Standing:
    line = await lines.open(address)
    try:
        return await question(lines, line)
    finally:
        line.close("asked")


async def _single(lines: Lines, line: Line) -> Standing:
    info = parse_info(await lines.ask(line, "INFO", "replication"))
    return Single(int(info[b"connected_slaves"]))


async def _watched(lines: Lines, addresses: Sequence[Address], master: str) -> Standing:
    async def question(lines: Lines, line: Line) -> Standing:
        about = _pairs(await lines.ask(line, "SENTINEL", "MASTER", master))
        replicas = [_pairs(row) for row in _list(await lines.ask(line, "SENTINEL", "REPLICAS", master))]
        try:
            await lines.ask(line, "SENTINEL", "CKQUORUM", master)
            trouble = None
        except exceptions.ResponseError as error:
            trouble = words(error)
        return Watched(
            answered=1,
            asked=len(addresses),
            sentinels=int(about["num-other-sentinels"]) + 1,
            quorum=int(about["quorum"]),
            replicas=sum(not _is_unwell(row["flags"]) for row in replicas),
            trouble=trouble,
        )

    answers = await asyncio.gather(*(_tried(_ask(lines, address, question)) for address in addresses))
    heard = [answer for answer in answers if isinstance(answer, Watched)]
    if not heard:
        raise Unreachable("; ".join(str(answer) for answer in answers))
    # Which of them answers first is chance: the one that sees the most trouble counts.
    worst = min(heard, key=lambda seen: (seen.trouble is None, seen.sentinels, seen.replicas))
    return Watched(len(heard), worst.asked, worst.sentinels, worst.quorum, worst.replicas, worst.trouble)


async def _clustered(lines: Lines, addresses: Sequence[Address]) -> Standing:
    async def question(lines: Lines, line: Line) -> Standing:
        info = parse_info(await lines.ask(line, "CLUSTER", "INFO"))
        nodes = await lines.ask(line, "CLUSTER", "NODES")
        return _read_nodes(info[b"cluster_state"].decode("ascii", "replace"), nodes)

    reasons = []
    for address in addresses:
        answer = await _tried(_ask(lines, address, question))
        if not isinstance(answer, str):
            return answer
        reasons.append(answer)
    raise Unreachable("; ".join(reasons))


def _read_nodes(state: str, nodes: object) -> Clustered:
    rows = [row.split() for row in nodes.decode("utf-8", "replace").splitlines()] if isinstance(nodes, bytes) else []
    well = [row for row in rows if len(row) > 7 and not _is_unwell(row[2]) and row[7] == "connected"]
    masters = {row[0]: row[1].partition("@")[0] for row in well if "master" in row[2].split(",") and len(row) > 8}
    followed = {row[3] for row in well if "slave" in row[2].split(",")}
    alone = tuple(address for name, address in masters.items() if name not in followed)
    return Clustered(state, len(masters), alone)


async def _tried(asking: Awaitable[Standing]) -> Standing | str:
    """Return the answer, or why there is none."""
    try:
        return await asking
    except Unreachable as error:
        return error.reason
    except exceptions.ResponseError as error:
        return f"refused: {words(error)}"
    except (KeyError, ValueError):
        return "what answers is no Redis"


def _is_unwell(flags: str) -> bool:
    return not _UNWELL.isdisjoint(flags.split(","))


def _list(answer: object) -> list[Any]:
    if not isinstance(answer, list):
        raise ValueError("not a list")  # noqa: TRY004  (it came from outside)
    return answer


def _pairs(answer: object) -> dict[str, str]:
    """Read an answer that is a flat list of names and values."""
    words_of = [word.decode("utf-8", "replace") for word in _list(answer) if isinstance(word, bytes)]
    return dict(zip(words_of[::2], words_of[1::2], strict=True))
