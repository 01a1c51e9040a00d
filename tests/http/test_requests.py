"""Plain requests over a real connection."""

from tests.http.support import running


async def test_an_operation_is_found_under_every_mount():
    async with running() as site, await site.connect() as client:
        for mount in ("", "/api/v3.1", "/api/v3"):
            reply = await client.ask(f"GET {mount}/things")
            assert (reply.status, reply.body) == (200, b"GetAllThings {} () 0")
    assert [record.operation for record in site.seen.records] == ["GetAllThings"] * 3
    assert site.seen.in_progress == 0


async def test_health_is_at_the_root():
    async with running() as site, await site.connect() as client:
        assert (await client.ask("GET /health/live")).body == b'{"status":"live"}'
        reply = await client.ask("GET /health/ready")
    assert (reply.status, reply.body) == (200, b'{"status":"ready","checks":{}}')
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["server"] == "titan-aas"
