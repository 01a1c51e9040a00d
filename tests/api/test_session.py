"""What a request says of how new its answer must be, and the token that every answer gives."""

import pytest

from titan.api.session import MalformedToken, Session, Token, read_session
from titan.store.contract import NEWEST, RECENT, Need

HERE = "3f0c9a1be2d47788"
SEEN_16 = f"{HERE}.10"


def session(**headers: str) -> Session:
    read = read_session({name.replace("_", "-"): value for name, value in headers.items()})
    assert isinstance(read, Session)
    return read


@pytest.mark.parametrize(
    "cache_control", ["no-cache", "No-Cache", "max-age=0", "no-store", "private, no-cache", "no-cache , max-age=9"]
)
def test_who_wants_the_newest_gets_it(cache_control):
    assert session(cache_control=cache_control, x_titan_session=SEEN_16).need(HERE) == NEWEST


@pytest.mark.parametrize("cache_control", ["", "max-age=60", "max-age=00x", "my-no-cache", "no-cached"])
def test_who_does_not_ask_may_get_what_is_recent(cache_control):
    assert session(cache_control=cache_control).need(HERE) == RECENT


def test_a_token_asks_for_what_it_has_seen():
    assert session(x_titan_session=SEEN_16).need(HERE) == Need(is_newest=False, mark=16)


def test_a_token_of_another_history_asks_for_the_newest():
    assert session(x_titan_session=SEEN_16).need("0123456789abcdef") == NEWEST
    assert session(x_titan_session=SEEN_16).headers("0123456789abcdef", 3)[0] == (
        "X-Titan-Session",
        "0123456789abcdef.3",
    )


def test_a_token_never_goes_back():
    assert session(x_titan_session=SEEN_16).headers(HERE, 3) == (("X-Titan-Session", SEEN_16),)
    assert session(x_titan_session=SEEN_16).headers(HERE, 17) == (("X-Titan-Session", f"{HERE}.11"),)


def test_before_anything_is_known_of_the_store_the_token_stays():
    assert session(x_titan_session=SEEN_16).headers("", 0) == (("X-Titan-Session", SEEN_16),)
    assert session().headers("", 0) == ()


@pytest.mark.parametrize(
    "text",
    ["", ".", HERE, f"{HERE}.", ".10", f"{HERE}.1G", f"{HERE}.{'1' * 17}", "A" * 16 + ".1", f"{'a' * 33}.1", "é.1"],
)
def test_a_field_that_is_no_token_is_told_so(text):
    read = read_session({"x-titan-session": text})
    assert isinstance(read, MalformedToken)
    assert "X-Titan-Session" in read.reason


@pytest.mark.parametrize("cookie", [f"titan_session={SEEN_16}", f"a=b; titan_session={SEEN_16}; c=d"])
def test_a_cookie_counts_as_the_field(cookie):
    assert session(cookie=cookie).token == Token(HERE, 16)


@pytest.mark.parametrize("cookie", ["titan_session=", "titan_session=x", f"not_titan_session={SEEN_16}", "a" * 9000])
def test_a_cookie_that_is_no_token_is_none(cookie):
    assert session(cookie=cookie).token is None


def test_the_cookie_is_set_when_it_changes_and_only_where_no_field_is_sent():
    def cookies(one: Session) -> list[str]:
        return [value for name, value in one.headers(HERE, 17) if name == "Set-Cookie"]

    assert cookies(session()) == [f"titan_session={HERE}.11; Path=/; HttpOnly; SameSite=Lax"]
    assert cookies(session(cookie=f"titan_session={SEEN_16}")) != []
    assert cookies(session(cookie=f"titan_session={HERE}.11")) == []
    assert cookies(session(x_titan_session=SEEN_16)) == []


async def test_every_answer_carries_a_token(client):
    for method, path in (("GET", "/shells"), ("GET", "/shells/dXJuOng"), ("GET", "/shells/!"), ("GET", "/shells?no=1")):
        assert (await client(method, path)).headers["x-titan-session"]


async def test_a_field_that_is_no_token_is_a_400(client):
    answer = await client("GET", "/shells", x_titan_session="me")
    assert answer.status == 400
    assert "X-Titan-Session" in answer.texts[0]
