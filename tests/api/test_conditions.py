"""Entity tags and preconditions as RFC 9110 says."""

import email.utils
import time
from dataclasses import replace

import pytest
import trio

from tests.support.client import Client, url
from tests.support.documents import shell
from tests.support.troubled_store import TroubledStore
from titan.api.conditions import NO_REVISION, Conditions, MalformedCondition, read_conditions
from titan.store.contract import IfMatch, IfNoneMatch

ONE = url("/shells", "s")


@pytest.mark.parametrize(
    ("field", "match", "none_match"),
    [
        ("*", (), ()),
        ('"7"', (7,), (7,)),
        (' "7" ,"8",, "9"', (7, 8, 9), (7, 8, 9)),
        (',"7"', (7,), (7,)),
        ('W/"7"', (NO_REVISION,), (7,)),
        ('"7-gzip"', (7,), (7,)),
        ('"seven", "8"', (NO_REVISION, 8), (NO_REVISION, 8)),
        ('"seven"', (NO_REVISION,), (NO_REVISION,)),
        ('""', (NO_REVISION,), (NO_REVISION,)),
        ('"99999999999999999999999"', (NO_REVISION,), (NO_REVISION,)),
        ('"007"', (NO_REVISION,), (NO_REVISION,)),
        ('"a,b", "7"', (NO_REVISION, 7), (NO_REVISION, 7)),
    ],
)
def test_fields_that_are_well_formed(field, match, none_match):
    assert read_conditions(field, None) == Conditions(match, None)
    assert read_conditions(None, field) == Conditions(None, none_match)


@pytest.mark.parametrize(
    "field", ["", "7", "'7'", '"7', '7"', '"7" "8"', "*, *", '*, "7"', 'w/"7"', '"7"x', '"a b"', ","]
)
def test_fields_that_are_not(field):
    assert isinstance(read_conditions(field, None), MalformedCondition)
    assert isinstance(read_conditions(None, field), MalformedCondition)


def test_a_long_field_is_read_in_linear_time():
    begin = time.process_time()
    assert isinstance(read_conditions('"7", ' * 6000 + "x", None), MalformedCondition)
    assert isinstance(read_conditions(" , " * 10000, None), MalformedCondition)
    assert time.process_time() - begin < 0.5


@pytest.mark.parametrize(
    ("match", "none_match", "expected"),
    [
        (None, None, None),
        ("*", None, IfMatch(())),
        (None, "*", IfNoneMatch(())),
        ('"7", "8"', '"8"', IfMatch((7,))),
        ('"7"', '"7"', IfMatch((NO_REVISION,))),
        ('"7"', "*", IfMatch((NO_REVISION,))),
        ("*", "*", IfMatch((NO_REVISION,))),
    ],
)
def test_both_fields_together_mean_what_both_mean(match, none_match, expected):
    conditions = read_conditions(match, none_match)
    assert isinstance(conditions, Conditions)
    assert conditions.for_write() == expected


async def test_get_answers_304_where_the_client_has_it(client):
    tag = (await client("POST", "/shells", shell("s"))).headers["etag"]
    for field in (tag, f"W/{tag}", "*", f'"x", {tag}'):
        answer = await client("GET", ONE, if_none_match=field)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    assert (await client("GET", ONE, if_none_match='"0"')).status == 200
    assert (await client("GET", ONE, if_match='"0"')).status == 412
    assert (await client("GET", ONE, if_match=tag)).status == 200
    assert (await client("GET", ONE, if_match="*")).status == 200


async def test_a_variant_has_the_documents_tag(client):
    tag = (await client("POST", "/submodels", {"modelType": "Submodel", "id": "s"})).headers["etag"]
    for query in ("", "?level=core", "?extent=withBlobValue"):
        assert (await client("GET", url("/submodels", "s") + query)).headers["etag"] == tag


async def test_last_modified_is_an_http_date(client):
    await client("POST", "/shells", shell("s"))
    value = (await client("GET", ONE)).headers["last-modified"]
    assert abs(email.utils.parsedate_to_datetime(value).timestamp() - time.time()) < 60


async def test_put_with_a_stale_tag_fails_and_says_the_current_one(client):
    first = (await client("POST", "/shells", shell("s"))).headers["etag"]
    second = (await client("PUT", ONE, shell("s", idShort="second"), if_match=first)).headers["etag"]
    stale = await client("PUT", ONE, shell("s", idShort="third"), if_match=first)
    assert (stale.status, stale.headers["etag"]) == (412, second)
    assert stale.json["messages"][0]["code"] == "ClientPreconditionFailed"
    assert (await client("GET", ONE)).json["idShort"] == "second"
    assert (await client("DELETE", ONE, if_match=first)).status == 412
    assert (await client("DELETE", ONE, if_match=f"W/{second}")).status == 412
    assert (await client("DELETE", ONE, if_match=second)).status == 204


async def test_put_may_be_bound_to_existence(client):
    assert (await client("PUT", ONE, shell("s"), if_match="*")).status == 412
    assert (await client("PUT", ONE, shell("s"), if_none_match="*")).status == 201
    assert (await client("PUT", ONE, shell("s"), if_none_match="*")).status == 412
    assert (await client("PUT", ONE, shell("s"), if_match="*")).status == 204


async def test_a_tag_of_before_a_deletion_never_fits_again(client):
    old = (await client("POST", "/shells", shell("s"))).headers["etag"]
    await client("DELETE", ONE)
    new = (await client("POST", "/shells", shell("s"))).headers["etag"]
    assert new != old
    assert (await client("PUT", ONE, shell("s"), if_match=old)).status == 412


def http_date(seconds: float) -> str:
    return email.utils.formatdate(seconds, usegmt=True)


async def test_a_date_guards_a_write_where_there_is_no_tag(client):
    await client("POST", "/shells", shell("s"))
    read = await client("GET", ONE)
    date = read.headers["last-modified"]
    past, future = http_date(time.time() - 3600), http_date(time.time() + 3600)
    for method, body in (("GET", None), ("PUT", shell("s")), ("DELETE", None)):
        assert (await client(method, ONE, body, if_unmodified_since=past)).status == 412
        assert (await client(method, ONE, body, if_unmodified_since=past, if_match='"0"')).status == 412
    assert (await client("PUT", ONE, shell("s"), if_unmodified_since=past, if_match=read.headers["etag"])).status == 204
    assert (await client("GET", ONE, if_unmodified_since="not a date")).status == 200
    assert (await client("GET", ONE, if_unmodified_since=date)).status in {200, 412}  # the second may have changed
    assert (await client("PUT", ONE, shell("s"), if_unmodified_since=future)).status == 204
    assert (await client("DELETE", ONE, if_unmodified_since=future)).status == 204
    assert (await client("PUT", ONE, shell("s"), if_unmodified_since=past)).status == 201


async def test_a_write_guarded_by_a_date_meets_the_state_that_was_judged(services):
    class Racing(TroubledStore):
        """Lets another writer in between the look at the date and the write."""

        async def find(self, *args, **options):
            found = await services.store.find(*args, **options)
            await Client(services)("PUT", ONE, shell("s", idShort="other"))
            return found

    client = Client(replace(services, store=Racing(services.store)))
    future = http_date(time.time() + 3600)
    assert (await client("PUT", ONE, shell("s"), if_unmodified_since=future)).status == 412
    assert (await client("PUT", ONE, shell("s"), if_unmodified_since=future)).status == 412
    assert (await client("DELETE", ONE, if_unmodified_since=future)).status == 412


async def test_a_malformed_field_is_named(client):
    for method, body in (("GET", None), ("PUT", shell("s")), ("DELETE", None)):
        answer = await client(method, ONE, body, if_match="7")
        assert answer.status == 400
        assert "If-Match" in answer.texts[0]


async def test_of_writers_with_one_tag_one_wins_each_round(client):
    tag = (await client("POST", "/shells", shell("s"))).headers["etag"]
    for number in range(20):
        statuses: list[tuple[int, str]] = []

        async def write(name: str, tag: str = tag, statuses: list[tuple[int, str]] = statuses) -> None:
            answer = await client("PUT", ONE, shell("s", idShort=name), if_match=tag)
            statuses.append((answer.status, name))

        async with trio.open_nursery() as nursery:
            for writer in "abcdefgh":
                nursery.start_soon(write, f"{writer}{number}")
        assert sorted(status for status, _ in statuses) == [204] + [412] * 7
        read = await client("GET", ONE)
        assert (204, read.json["idShort"]) in statuses
        tag = read.headers["etag"]
