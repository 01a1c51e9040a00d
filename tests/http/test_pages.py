"""The API's description, for people and for programs, over a real connection."""

import json
from functools import partial

from tests.http.support import pages, running
from titan.api.docs_page import docs_page
from titan.api.openapi import openapi_page
from titan.api.operations import OPERATIONS
from titan.http.app import Pages


def described(base: str) -> Pages:
    return Pages(
        pages().probes, openapi=partial(openapi_page, OPERATIONS, base), docs=partial(docs_page, OPERATIONS, base)
    )


async def test_the_description_is_served_where_the_api_is_mounted():
    async with running(app_pages=described("/twins"), base_path="/twins") as site, await site.connect() as client:
        openapi = await client.ask("GET /twins/openapi.json")
        docs = await client.ask("GET /twins/docs")
        assert (await client.ask("GET /docs")).status == 404
    assert json.loads(openapi.body)["servers"] == [{"url": "/twins"}]
    assert openapi.headers["content-type"] == "application/json"
    assert docs.headers["content-type"] == "text/html; charset=utf-8"
    assert docs.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert docs.body.startswith(b"<!doctype html>")
