"""REDIS_URL as the operator's guide writes it, and what is wrong in it, said without the password."""

import pytest

from titan.redis.url import Address, BadRedisUrl, Login, Mode, parse


@pytest.mark.parametrize(
    ("text", "shown", "mode", "addresses"),
    [
        ("redis://redis", "redis://redis:6379/0", Mode.SINGLE, [("redis", 6379)]),
        ("redis://:pw@redis:7000/3", "redis://redis:7000/3", Mode.SINGLE, [("redis", 7000)]),
        ("rediss://titan:pw@[::1]:7000/", "rediss://titan@[::1]:7000/0", Mode.SINGLE, [("::1", 7000)]),
        ("redis://redis?cluster=false", "redis://redis:6379/0", Mode.SINGLE, [("redis", 6379)]),
        (
            "redis://sentinel1:26379,sentinel2:26379,sentinel3:26379/0?sentinelMaster=mymaster",
            "redis://sentinel1:26379,sentinel2:26379,sentinel3:26379/0?sentinelMaster=mymaster",
            Mode.SENTINEL,
            [("sentinel1", 26379), ("sentinel2", 26379), ("sentinel3", 26379)],
        ),
        ("redis://s/2?sentinelMaster=m", "redis://s:26379/2?sentinelMaster=m", Mode.SENTINEL, [("s", 26379)]),
        (
            "redis://node1:6379,node2:6379,node3:6379/0?cluster=true",
            "redis://node1:6379,node2:6379,node3:6379/0?cluster=true",
            Mode.CLUSTER,
            [("node1", 6379), ("node2", 6379), ("node3", 6379)],
        ),
    ],
)
def test_the_guides_urls(text, shown, mode, addresses):
    url = parse(text)
    assert (str(url), url.mode, url.addresses) == (shown, mode, tuple(Address(*address) for address in addresses))
    assert url.is_tls is text.startswith("rediss:")


def test_logins_are_decoded_and_never_shown():
    url = parse("redis://ti%40tan:p%2Fw@s?sentinelMaster=m&sentinelUsername=u&sentinelPassword=q%26")
    assert url.login == Login("ti@tan", "p/w")
    assert url.sentinel_login == Login("u", "q&")
    for text in (str(url), repr(url)):
        assert "p/w" not in text
        assert "q&" not in text
    assert parse("redis://:pw@h").login == Login(None, "pw")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://h", "must be redis://"),
        ("redis", "must be redis://"),
        ("redis://", "no HOST"),
        ("redis://h:x", "no HOST"),
        ("redis://::1", "brackets"),
        ("redis://h:0", "1 to 65535"),
        ("redis://h:65536", "1 to 65535"),
        ("redis://a,b", "several hosts"),
        ("redis://a,,b?cluster=true", "no HOST"),
        ("redis://h/x", "number of a database"),
        ("redis://h/1/2", "number of a database"),
        ("redis://h/1?cluster=true", "database 0 only"),
        ("redis://h?cluster=yes", "neither true nor false"),
        ("redis://h?cluster=true&sentinelMaster=m", "give one"),
        ("redis://h?sentinelMaster=", "is empty"),
        ("redis://h?sentinelPassword=secret", "needs sentinelMaster"),
        ("redis://h?timeout=3", "unknown option timeout"),
        ("redis://h?cluster=true&cluster=true", "given twice"),
        ("redis://h?cluster", "OPTION=VALUE"),
        ("redis://user@h", "no password"),
        ("redis://u:sec/ret@h", "%2F"),
        ("redis://u:sec?ret@h", "%2F"),
    ],
)
def test_what_is_wrong_is_said_without_a_secret(text, reason):
    with pytest.raises(BadRedisUrl) as caught:
        parse(text)
    assert reason in str(caught.value)
    assert "sec" not in str(caught.value)
