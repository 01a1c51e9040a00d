"""The rate limit in the whole process."""

import httpx

from tests.support.server import free_port, serving
from tests.support.waiting import wait_until


def test_a_limit_is_set_counted_and_told(tmp_path):
    admin = free_port()
    settings = {
        "TITAN_SECURITY__REQUESTS_PER_MINUTE": "2",
        "TITAN_HTTP__ADMIN_PORT": str(admin),
        "TITAN_LOG_FORMAT": "json",
    }
    with serving(tmp_path / "data", settings=settings) as server, httpx.Client() as client:
        asked = [client.get(f"{server.url}/shells") for _ in range(3)]
        assert [answer.status_code for answer in asked] == [200, 200, 429]
        assert asked[0].headers["RateLimit"] == '"client";r=1;t=30'
        assert 1 <= int(asked[2].headers["Retry-After"]) <= 30
        for _ in range(3):
            assert client.get(f"{server.url}/health/live").status_code == 200
            assert client.get(f"http://127.0.0.1:{admin}/nothing").status_code == 404
        scraped = client.get(f"http://127.0.0.1:{admin}/metrics").text.splitlines()
        name = "titan_rate_limit_requests_total"
        assert f'{name}{{counted_by="local",outcome="granted"}} 2.0' in scraped
        assert f'{name}{{counted_by="local",outcome="refused"}} 1.0' in scraped
        wait_until(lambda: '"because":"more than 2 requests a minute"' in server.logs(), what="the reason in the log")


def test_without_a_limit_there_is_neither_metric_nor_field(tmp_path):
    with serving(tmp_path / "data") as server:
        assert "ratelimit" not in httpx.get(f"{server.url}/shells").headers
        assert "titan_rate_limit" not in httpx.get(f"{server.url}/metrics").text
