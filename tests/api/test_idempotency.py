"""`Idempotency-Key`: one effect, one answer."""

import pytest
import trio

from tests.support.client import url
from tests.support.documents import concept_description, shell


async def test_a_retry_gets_the_first_answer_whatever_happened_since(client):
    first = await client("POST", "/shells", shell("s"), idempotency_key="k")
    await client("PUT", url("/shells", "s"), shell("s", idShort="changed"))
    again = await client("POST", "/shells", shell("s"), idempotency_key="k")
    assert again.response == first.response
    await client("DELETE", url("/shells", "s"))
    assert (await client("POST", "/shells", shell("s"), idempotency_key="k")).response == first.response
    assert (await client("GET", url("/shells", "s"))).status == 404


async def test_white_space_does_not_make_another_request(client):
    body = b'{"modelType":"ConceptDescription","id":"c"}'
    first = await client("POST", "/concept-descriptions", body, idempotency_key="k")
    again = await client("POST", "/concept-descriptions", b" " + body.replace(b",", b" , "), idempotency_key="k")
    assert again.response == first.response


async def test_another_body_under_the_same_key_is_refused(client):
    await client("POST", "/shells", shell("s"), idempotency_key="k")
    other = await client("POST", "/shells", shell("t"), idempotency_key="k")
    assert other.status == 422
    assert other.json["messages"][0]["code"] == "ClientUnprocessableContent"
    assert (await client("GET", url("/shells", "t"))).status == 404


async def test_a_key_belongs_to_its_operation(client):
    assert (await client("POST", "/shells", shell("s"), idempotency_key="k")).status == 201
    assert (await client("POST", "/concept-descriptions", concept_description("s"), idempotency_key="k")).status == 201


async def test_a_refused_request_leaves_the_key_free(client):
    assert (await client("POST", "/shells", {"id": 5}, idempotency_key="k")).status == 400
    assert (await client("POST", "/shells", shell("s"), idempotency_key="k")).status == 201


async def test_many_at_once_have_one_effect(client):
    answers = []

    async def post() -> None:
        answers.append(await client("POST", "/shells", shell("s"), idempotency_key="k"))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(post)
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.headers["etag"] for answer in answers if answer.status == 201}) == 1
    assert len((await client("GET", "/shells")).json["result"]) == 1


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256, "a\tb"])
async def test_a_key_that_is_none_is_named(client, key):
    answer = await client("POST", "/shells", shell("s"), idempotency_key=key)
    assert answer.status == 400
    assert "Idempotency-Key" in answer.texts[0]
